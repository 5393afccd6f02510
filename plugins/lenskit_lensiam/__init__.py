"""LenSiam: the lens-fixed pair strategy and the recipes of the paper."""
