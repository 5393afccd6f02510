"""A detector of anomalies that fits the macro model of a lens to its image."""
