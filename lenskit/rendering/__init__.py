"""Rendering of the lenses of a table with one row per lens."""
