"""Encoders of plugins, found by name and evaluated in place of a run."""
