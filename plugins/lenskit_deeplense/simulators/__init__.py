"""Simulators of lenses with substructure."""
