"""The base of evaluations: runs and lenses in, results out."""
