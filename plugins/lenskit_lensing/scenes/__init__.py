"""Parts of scenes: lenses, their light, and other objects in the frame."""
