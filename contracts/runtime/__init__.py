"""What runs contract modules: registry, overlay, steps and executor."""
