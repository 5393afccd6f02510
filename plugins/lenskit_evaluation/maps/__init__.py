"""UMAPs of features, and the evaluation `lenskit umap`."""
