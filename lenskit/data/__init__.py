"""The lenses of training, in order, live or stored, and the readers that open stored ones."""
