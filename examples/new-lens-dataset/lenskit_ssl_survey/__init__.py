"""Reader of the survey's releases."""
