"""`lenskit transfer`: from simulations to real images with labels."""
