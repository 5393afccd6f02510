"""The formats in which `lenskit simulate` writes stores, except Zarr, which the core itself reads."""
