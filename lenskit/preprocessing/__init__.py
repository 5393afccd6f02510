"""From an image in any unit to what a network sees: stretch, size and channels."""
