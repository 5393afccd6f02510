"""Preprocessing of images for a network: stretch, size and channels."""
