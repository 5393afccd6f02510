"""Addresses, the numbers drawn for them, and the sources that turn them into batches."""
