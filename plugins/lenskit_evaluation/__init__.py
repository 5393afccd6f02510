"""Evaluations: a folder for each that is more than one file; beside them what several use."""
