"""Tools of the project: measuring, and what `make` runs."""
