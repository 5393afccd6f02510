"""`lenskit neighbours`: search for the most similar lenses of an archive."""
