"""Carriage: who moves what from where to where, and whether it arrived."""
