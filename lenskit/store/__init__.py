"""Simulations on disk: what is stored and how, and how it is written and read."""
