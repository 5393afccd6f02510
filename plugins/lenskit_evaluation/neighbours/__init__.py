"""`lenskit neighbours`: the lenses of an archive like an image."""
