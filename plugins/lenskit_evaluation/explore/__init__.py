"""`lenskit explore`: a map of the features to explore, in one HTML page."""
