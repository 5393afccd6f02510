"""Common parts of evaluations: subjects, splits, tables and results."""
