"""The runner: Lightning's Trainer, fed by a source whose stream is a function of the number of batches done."""
