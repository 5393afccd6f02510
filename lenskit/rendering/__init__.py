"""Images of the lenses of a table: one row is one lens."""
