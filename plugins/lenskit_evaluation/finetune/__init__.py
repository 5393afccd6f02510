"""`lenskit finetune`: training of pre-trained encoders on a few labelled images."""
