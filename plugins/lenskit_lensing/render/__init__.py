"""Renderers: from scenes to light on pixels."""
