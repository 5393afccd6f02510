"""DeepLense: simulators of dark-matter substructure, and anomaly detectors."""
