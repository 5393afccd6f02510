"""`lenskit probe`: how well parameters are read off frozen features."""
