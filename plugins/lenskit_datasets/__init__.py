"""Readers of stored lens images."""
