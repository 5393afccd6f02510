"""Encoders that plugins bring: found by name, downloaded if need be, and judged in place of a run."""
