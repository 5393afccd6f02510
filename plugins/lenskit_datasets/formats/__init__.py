"""The bundled formats of stores, images and features, except Zarr, which the core itself uses."""
