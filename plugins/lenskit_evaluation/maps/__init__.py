"""Maps of features, and `lenskit umap`."""
