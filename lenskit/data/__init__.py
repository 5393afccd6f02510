"""Simulated and stored lenses, and their order in training."""
