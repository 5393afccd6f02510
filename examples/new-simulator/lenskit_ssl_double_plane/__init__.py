"""Lenses with two sources at different redshifts."""
