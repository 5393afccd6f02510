"""LenSiam's lens-fixed pair strategy and recipes."""
