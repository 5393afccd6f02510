"""Parts of scenes: what is drawn of lenses, of their light and of what else is in the frame."""
