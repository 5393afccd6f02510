"""Helpers for components: files, images, stores, processes and messages.

Components may use them. They read FITS, HDF5, numpy and tables within size limits, write files atomically, show
progress, and make messages short and safe to print.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lenskit.facade import loaded, modules_in

if TYPE_CHECKING:
    from lenskit.cache import cache_folder as cache_folder
    from lenskit.checksums import Damaged as Damaged
    from lenskit.checksums import check_archive as check_archive
    from lenskit.checksums import load_tensors as load_tensors
    from lenskit.checksums import save_tensors as save_tensors
    from lenskit.contracts.method import check_answer as check_answer
    from lenskit.data.memory import keep_freed_memory as keep_freed_memory
    from lenskit.data.orientation import orient_images as orient_images
    from lenskit.data.orientation import orient_values as orient_values
    from lenskit.data.readers import open_dataset as open_dataset
    from lenskit.data.stored import StoredLenses as StoredLenses
    from lenskit.drawing import save_figure as save_figure
    from lenskit.drawing import settle_texts as settle_texts
    from lenskit.embeddings.stored import StoredMatrix as StoredMatrix
    from lenskit.embeddings.table import FeatureTable as FeatureTable
    from lenskit.embeddings.zarr_file import ZarrFile as ZarrFile
    from lenskit.encoders.named import find_named as find_named
    from lenskit.encoders.named import not_named as not_named
    from lenskit.errors import too_many_files as too_many_files
    from lenskit.files import part_of as part_of
    from lenskit.files import sweep_parts as sweep_parts
    from lenskit.files import write_atomically as write_atomically
    from lenskit.gather import gather as gather
    from lenskit.gather import places as places
    from lenskit.hdf5_file import new_hdf5 as new_hdf5
    from lenskit.kinds.backbone import sizes_near as sizes_near
    from lenskit.kinds.macro_model import MacroModel as MacroModel
    from lenskit.kinds.parameter import ParameterRecord as ParameterRecord
    from lenskit.kinds.parameter import parameters_of as parameters_of
    from lenskit.layers import read_toml as read_toml
    from lenskit.ownership import strangers as strangers
    from lenskit.pictures import colours as colours
    from lenskit.pictures import write_picture as write_picture
    from lenskit.preprocessing.lens_light import noise_map as noise_map
    from lenskit.preprocessing.lens_light import smooth_light as smooth_light
    from lenskit.preprocessing.preprocess import Preprocess as Preprocess
    from lenskit.preprocessing.preprocess import border_noise as border_noise
    from lenskit.reading.delimited import parse_number as parse_number
    from lenskit.reading.delimited import read_delimited as read_delimited
    from lenskit.reading.delimited import read_numbers as read_numbers
    from lenskit.reading.fits_file import check_hdu as check_hdu
    from lenskit.reading.fits_file import open_bytes as open_bytes
    from lenskit.reading.fits_file import open_fits as open_fits
    from lenskit.reading.fits_header import repeated as repeated
    from lenskit.reading.fits_header import wrong_card as wrong_card
    from lenskit.reading.hdf5_file import hdf5_item as hdf5_item
    from lenskit.reading.limits import check_bytes as check_bytes
    from lenskit.reading.numpy_file import load_array as load_array
    from lenskit.reading.numpy_file import open_arrays as open_arrays
    from lenskit.reading.quiet import quiet_fits as quiet_fits
    from lenskit.reading.units import is_angle as is_angle
    from lenskit.reading.units import theta_E_columns as theta_E_columns
    from lenskit.reading.units import to_arcsec as to_arcsec
    from lenskit.reading.units import unit_in as unit_in
    from lenskit.reading.units import unit_named as unit_named
    from lenskit.reading.whole import first_inexact as first_inexact
    from lenskit.reading.whole import whole_numbers as whole_numbers
    from lenskit.records import Record as Record
    from lenskit.records import checked as checked
    from lenskit.records import load_json as load_json
    from lenskit.records import parse_json as parse_json
    from lenskit.rendering.render import Rendering as Rendering
    from lenskit.store.folder_format import FolderFormat as FolderFormat
    from lenskit.store.plan import Plan as Plan
    from lenskit.store.plan import checked_attributes as checked_attributes
    from lenskit.store.store import Store as Store
    from lenskit.store.store import coordinate_name as coordinate_name
    from lenskit.store.store import is_store as is_store
    from lenskit.store.zarr_format import ZarrFormat as ZarrFormat
    from lenskit.terminal import counted as counted
    from lenskit.undefined import plane_of as plane_of
    from lenskit.words import as_label as as_label
    from lenskit.words import as_markdown as as_markdown
    from lenskit.words import escaped as escaped
    from lenskit.words import listed as listed
    from lenskit.words import quoted as quoted
    from lenskit.words import reason as reason
    from lenskit.words import shortened as shortened

_MODULES = modules_in(__file__)

__all__ = [*_MODULES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    return loaded(name, __name__, _MODULES)


def __dir__() -> list[str]:
    return sorted(__all__)
