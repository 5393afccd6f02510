"""Reading of files that users give: tables, arrays, HDF5 and FITS, with the same rules everywhere."""
