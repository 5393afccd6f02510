"""`lenskit transfer`: probes of simulated lenses tested on real images."""
