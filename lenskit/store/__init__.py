"""Stores of simulated images on disk: their content, formats, writing and reading."""
