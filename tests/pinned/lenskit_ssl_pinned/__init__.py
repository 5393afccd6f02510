"""Components of pinned."""
