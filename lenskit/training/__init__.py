"""Training with Lightning's Trainer, whose batches depend only on their number."""
