"""Cameras: what is known of them, their PSFs and their noise."""
