"""Evidence bundles: one file about a batch, a recall or a credit that needs no node to be checked.

docs/spec/evidence.md is the format. ``form`` reads and checks it, ``subjects`` says what is asked
about each kind of subject, ``export`` makes one from a node that need not be trusted.
"""
