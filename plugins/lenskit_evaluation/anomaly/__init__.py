"""How well scores tell anomalies from what is normal."""
