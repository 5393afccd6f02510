"""Source galaxies from profiles or from images of real galaxies."""
