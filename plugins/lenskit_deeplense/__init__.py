"""DeepLense without labels: lenses with and without dark-matter substructure, and detectors of anomalies."""
