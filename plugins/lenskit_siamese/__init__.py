"""Self-supervised methods, and pair strategies that augment single images."""
