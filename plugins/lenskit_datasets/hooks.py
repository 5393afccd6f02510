"""What this plugin brings."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_datasets():
    return [
        Component("fits-folder", "lenskit_datasets.fits_folder:FitsFolder", "FITS files, or a folder of them"),
        Component("zarr", "lenskit_datasets.zarr_store:ZarrStore", "Images that `lenskit simulate` wrote"),
    ]
