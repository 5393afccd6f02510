"""`lenskit anomaly`: anomaly scores evaluated by ROC curves."""
