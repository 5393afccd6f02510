"""Source galaxies: drawn from profiles or from images of real ones."""
