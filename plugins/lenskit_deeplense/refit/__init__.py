"""Anomaly detector that fits the macro model of a lens to its image."""
