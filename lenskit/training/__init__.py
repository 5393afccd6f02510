"""The runner: Lightning's Trainer, fed by a training set, whose batches are a function of their number."""
