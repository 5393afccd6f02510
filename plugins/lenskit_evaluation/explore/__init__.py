"""`lenskit explore`: an interactive UMAP of the features as one HTML page."""
