"""Trained encoders for those who do not have lenskit."""
