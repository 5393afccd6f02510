"""`lenskit probe`: prediction of parameters from frozen features."""
