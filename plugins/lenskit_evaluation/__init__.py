"""Evaluations: embed, probe, predict."""
