"""Formats of stores, images and features, except Zarr, which the core provides."""
