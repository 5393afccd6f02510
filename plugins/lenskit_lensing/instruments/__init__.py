"""Cameras, their PSFs and their noise."""
