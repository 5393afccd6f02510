"""`lenskit neighbours`: search for the lenses of an archive that are most similar to an image."""
