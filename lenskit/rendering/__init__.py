"""Rendering of the lenses of a table, in which each row is a lens."""
