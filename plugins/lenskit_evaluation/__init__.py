"""Evaluations of trained encoders, and the modules that several of them share."""
