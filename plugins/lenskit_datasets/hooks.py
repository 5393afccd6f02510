"""Data set readers and formats of this plugin."""

from lenskit.plugin import Component, hookimpl


@hookimpl
def lenskit_datasets() -> list[Component]:
    return [
        Component("deeplense-npy", "lenskit_datasets.deeplense_npy:DeepLenseNpy", "Numpy arrays of images, by class"),
        Component("fits-folder", "lenskit_datasets.fits_folder:FitsFolder", "FITS files, or a folder of them"),
        Component("hdf5", "lenskit_datasets.hdf5:Hdf5", "An HDF5 file from lenskit, or with a data set of images"),
        Component("image-folder", "lenskit_datasets.image_folder:ImageFolder", "PNG, JPEG, TIFF and npy files"),
        Component(
            "lens-challenge-1",
            "lenskit_datasets.lens_challenge_1:LensChallenge1",
            "The first Lens Finding Challenge: one band from space, four from the ground",
        ),
        Component(
            "lens-challenge-2",
            "lenskit_datasets.lens_challenge_2:LensChallenge2",
            "The second Lens Finding Challenge: Euclid's VIS, H, J and Y",
        ),
        Component("lensiam-fits", "lenskit_datasets.lensiam_fits:LensiamFits", "LenSiam's pairs: a FITS file per lens"),
        Component(
            "lenstronomy-hdf5",
            "lenskit_datasets.lenstronomy_hdf5:LenstronomyHdf5",
            "HDF5 files of lenstronomy and dolphin: a file per lens",
        ),
        Component("zarr", "lenskit_datasets.zarr_store:ZarrStore", "Images that `lenskit simulate` wrote"),
    ]


@hookimpl
def lenskit_formats() -> list[Component]:
    return [
        Component("fits", "lenskit_datasets.formats.fits:FitsFormat", "Stores: a FITS file per lens, as in LenSiam"),
        Component("hdf5", "lenskit_datasets.formats.hdf5:Hdf5Format", "Stores and images: one HDF5 file"),
        Component("mat", "lenskit_datasets.formats.mat:MatFormat", "Images: one MATLAB file"),
        Component("npy", "lenskit_datasets.formats.npy:NpyFormat", "Images and features: one numpy array"),
        Component("npz", "lenskit_datasets.formats.npz:NpzFormat", "Features: one numpy archive"),
        Component("parquet", "lenskit_datasets.formats.parquet:ParquetFormat", "Features: one Parquet table"),
        Component("png", "lenskit_datasets.formats.png:PngFormat", "Images: a folder of grey pictures"),
        Component("zarr", "lenskit.toolbox:ZarrFile", "Stores and features: one Zarr group, the fastest to read"),
    ]
