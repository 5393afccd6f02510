"""`lenskit invariance`: selectivity of features for shared parameters of pairs."""
