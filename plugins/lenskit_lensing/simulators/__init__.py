"""Simulators of strong lenses."""
