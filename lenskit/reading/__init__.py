"""Readers of users' files (tables, arrays, HDF5, FITS) with common limits."""
