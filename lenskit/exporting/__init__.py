"""Export of trained encoders for use without lenskit."""
