"""`lenskit finetune`: what few labels are worth after pre-training."""
