"""All that a plugin author imports.

A plugin is a distribution with an entry point in the group `lenskit.plugins` that names a module of hooks:

```python
from lenskit.plugin import Component, hookimpl

@hookimpl
def lenskit_pairs():
    return [Component("speckle", "my_plugin.pairs:Speckle", "Each view with speckle")]
```

and, in the module that the record names, a subclass of the kind's base class:

```python
from lenskit.plugin import Transform
```

`Component` and `hookimpl` cost nothing to import. The rest is loaded when it is first asked for, because it brings
torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lenskit.component import Component
from lenskit.errors import LenskitError, UsageError, meant, near, too_many_files
from lenskit.hookspecs import hookimpl

if TYPE_CHECKING:
    from lenskit.asked import asked as asked
    from lenskit.cache import cache_folder as cache_folder
    from lenskit.checksums import Damaged as Damaged
    from lenskit.checksums import check_archive as check_archive
    from lenskit.checksums import load_tensors as load_tensors
    from lenskit.checksums import save_tensors as save_tensors
    from lenskit.data.held import read_lenses as read_lenses
    from lenskit.data.images import Chunk as Chunk
    from lenskit.data.images import check_complete as check_complete
    from lenskit.data.images import simulated as simulated
    from lenskit.data.images import stored as stored
    from lenskit.data.memory import keep_freed_memory as keep_freed_memory
    from lenskit.data.orientation import orient_images as orient_images
    from lenskit.data.orientation import orient_values as orient_values
    from lenskit.data.readers import data_name as data_name
    from lenskit.data.readers import find_reader as find_reader
    from lenskit.data.readers import open_dataset as open_dataset
    from lenskit.data.readers import spelled_out as spelled_out
    from lenskit.data.source import source_of as source_of
    from lenskit.destinations import check_folder as check_folder
    from lenskit.destinations import check_free as check_free
    from lenskit.destinations import check_output as check_output
    from lenskit.destinations import free_place as free_place
    from lenskit.destinations import in_folder as in_folder
    from lenskit.destinations import working_folder as working_folder
    from lenskit.distributions import Distribution as Distribution
    from lenskit.drawing import save_figure as save_figure
    from lenskit.drawing import settle_texts as settle_texts
    from lenskit.embeddings import Embeddings as Embeddings
    from lenskit.embeddings import is_embeddings as is_embeddings
    from lenskit.embeddings.feature_format import FeatureFormat as FeatureFormat
    from lenskit.embeddings.stored import StoredMatrix as StoredMatrix
    from lenskit.embeddings.table import FeatureTable as FeatureTable
    from lenskit.embeddings.zarr_file import ZarrFile as ZarrFile
    from lenskit.encoder import Encoder as Encoder
    from lenskit.encoder import is_halved as is_halved
    from lenskit.encoder_card import EncoderCard as EncoderCard
    from lenskit.encoders.encoder_run import EncoderRun as EncoderRun
    from lenskit.encoders.encoder_run import open_run as open_run
    from lenskit.encoders.named import find_named as find_named
    from lenskit.encoders.named import not_named as not_named
    from lenskit.files import part_of as part_of
    from lenskit.files import sweep_parts as sweep_parts
    from lenskit.files import write_atomically as write_atomically
    from lenskit.generator import KeyedGenerator as KeyedGenerator
    from lenskit.hdf5_file import new_hdf5 as new_hdf5
    from lenskit.identity import digest as digest
    from lenskit.kinds.backbone import Backbone as Backbone
    from lenskit.kinds.dataset import Dataset as Dataset
    from lenskit.kinds.evaluation import Evaluation as Evaluation
    from lenskit.kinds.macro_model import MacroModel as MacroModel
    from lenskit.kinds.method import Budget as Budget
    from lenskit.kinds.method import Method as Method
    from lenskit.kinds.pairs import Batch as Batch
    from lenskit.kinds.pairs import PairStrategy as PairStrategy
    from lenskit.kinds.pairs import Transform as Transform
    from lenskit.kinds.parameter import Parameter as Parameter
    from lenskit.kinds.parameter import ParameterRecord as ParameterRecord
    from lenskit.kinds.parameter import parameters_of as parameters_of
    from lenskit.kinds.simulator import Scene as Scene
    from lenskit.kinds.simulator import Simulator as Simulator
    from lenskit.layers import read_assignment as read_assignment
    from lenskit.layers import read_toml as read_toml
    from lenskit.options import at_most as at_most
    from lenskit.ownership import is_stamped as is_stamped
    from lenskit.ownership import listed_in as listed_in
    from lenskit.ownership import stamp as stamp
    from lenskit.ownership import strangers as strangers
    from lenskit.ownership import write_list as write_list
    from lenskit.pictures import colours as colours
    from lenskit.pictures import write_picture as write_picture
    from lenskit.preprocessing.lens_light import noise_map as noise_map
    from lenskit.preprocessing.lens_light import smooth_light as smooth_light
    from lenskit.preprocessing.preprocess import Preprocess as Preprocess
    from lenskit.preprocessing.preprocess import border_noise as border_noise
    from lenskit.published import without_folders as without_folders
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
    from lenskit.rendering.image_format import ImageFormat as ImageFormat
    from lenskit.rendering.render import Rendering as Rendering
    from lenskit.run import Run as Run
    from lenskit.runs import compare_runs as compare_runs
    from lenskit.runs import plot_runs as plot_runs
    from lenskit.store.cluster import connected as connected
    from lenskit.store.folder_format import FolderFormat as FolderFormat
    from lenskit.store.format import Format as Format
    from lenskit.store.plan import Plan as Plan
    from lenskit.store.plan import checked_attributes as checked_attributes
    from lenskit.store.store import Store as Store
    from lenskit.store.store import coordinate_name as coordinate_name
    from lenskit.store.store import is_store as is_store
    from lenskit.store.zarr_format import ZarrFormat as ZarrFormat
    from lenskit.training.collapse import effective_rank as effective_rank
    from lenskit.training.collapse import projection_std as projection_std
    from lenskit.training.heldout import held_out as held_out
    from lenskit.training.probe import alignment as alignment
    from lenskit.training.probe import uniformity as uniformity
    from lenskit.training.shortcut import Reading as Reading
    from lenskit.training.shortcut import shortcuts as shortcuts
    from lenskit.words import as_label as as_label
    from lenskit.words import as_markdown as as_markdown
    from lenskit.words import escaped as escaped
    from lenskit.words import listed as listed
    from lenskit.words import quoted as quoted
    from lenskit.words import reason as reason
    from lenskit.words import shortened as shortened

_NAMES = {
    "lenskit.cache": "cache_folder",
    "lenskit.checksums": "check_archive Damaged load_tensors save_tensors",
    "lenskit.data.held": "read_lenses",
    "lenskit.data.images": "check_complete Chunk simulated stored",
    "lenskit.data.memory": "keep_freed_memory",
    "lenskit.data.orientation": "orient_images orient_values",
    "lenskit.data.readers": "data_name find_reader open_dataset spelled_out",
    "lenskit.data.source": "source_of",
    "lenskit.asked": "asked",
    "lenskit.destinations": "check_folder check_free check_output free_place in_folder working_folder",
    "lenskit.distributions": "Distribution",
    "lenskit.drawing": "save_figure settle_texts",
    "lenskit.embeddings": "Embeddings is_embeddings",
    "lenskit.embeddings.feature_format": "FeatureFormat",
    "lenskit.embeddings.stored": "StoredMatrix",
    "lenskit.embeddings.table": "FeatureTable",
    "lenskit.embeddings.zarr_file": "ZarrFile",
    "lenskit.encoder": "Encoder is_halved",
    "lenskit.encoder_card": "EncoderCard",
    "lenskit.encoders.encoder_run": "EncoderRun open_run",
    "lenskit.encoders.named": "find_named not_named",
    "lenskit.files": "part_of sweep_parts write_atomically",
    "lenskit.generator": "KeyedGenerator",
    "lenskit.hdf5_file": "new_hdf5",
    "lenskit.identity": "digest",
    "lenskit.kinds.backbone": "Backbone",
    "lenskit.kinds.dataset": "Dataset",
    "lenskit.kinds.evaluation": "Evaluation",
    "lenskit.kinds.macro_model": "MacroModel",
    "lenskit.kinds.method": "Budget Method",
    "lenskit.kinds.pairs": "Batch PairStrategy Transform",
    "lenskit.kinds.parameter": "Parameter ParameterRecord parameters_of",
    "lenskit.kinds.simulator": "Scene Simulator",
    "lenskit.layers": "read_assignment read_toml",
    "lenskit.options": "at_most",
    "lenskit.ownership": "is_stamped listed_in stamp strangers write_list",
    "lenskit.pictures": "colours write_picture",
    "lenskit.preprocessing.lens_light": "noise_map smooth_light",
    "lenskit.preprocessing.preprocess": "border_noise Preprocess",
    "lenskit.published": "without_folders",
    "lenskit.reading.delimited": "parse_number read_delimited read_numbers",
    "lenskit.reading.fits_file": "check_hdu open_bytes open_fits",
    "lenskit.reading.fits_header": "repeated wrong_card",
    "lenskit.reading.hdf5_file": "hdf5_item",
    "lenskit.reading.limits": "check_bytes",
    "lenskit.reading.numpy_file": "load_array open_arrays",
    "lenskit.reading.quiet": "quiet_fits",
    "lenskit.reading.units": "is_angle theta_E_columns to_arcsec unit_in unit_named",
    "lenskit.reading.whole": "first_inexact whole_numbers",
    "lenskit.records": "checked load_json parse_json Record",
    "lenskit.rendering.image_format": "ImageFormat",
    "lenskit.rendering.render": "Rendering",
    "lenskit.run": "Run",
    "lenskit.runs": "compare_runs plot_runs",
    "lenskit.store.cluster": "connected",
    "lenskit.store.folder_format": "FolderFormat",
    "lenskit.store.format": "Format",
    "lenskit.store.plan": "checked_attributes Plan",
    "lenskit.store.store": "coordinate_name is_store Store",
    "lenskit.store.zarr_format": "ZarrFormat",
    "lenskit.training.collapse": "effective_rank projection_std",
    "lenskit.training.heldout": "held_out",
    "lenskit.training.probe": "alignment uniformity",
    "lenskit.training.shortcut": "Reading shortcuts",
    "lenskit.words": "as_label as_markdown escaped listed quoted reason shortened",
}
"""Names by the module that they are loaded from."""

_LAZY = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = ["Component", "LenskitError", "UsageError", "hookimpl", "meant", "near", "too_many_files", *_LAZY]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
