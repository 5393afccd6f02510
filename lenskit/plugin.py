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
    from lenskit.cache import cache_folder as cache_folder
    from lenskit.checksums import Damaged as Damaged
    from lenskit.checksums import check_archive as check_archive
    from lenskit.checksums import load_tensors as load_tensors
    from lenskit.checksums import save_tensors as save_tensors
    from lenskit.data.generator import KeyedGenerator as KeyedGenerator
    from lenskit.data.held import read_lenses as read_lenses
    from lenskit.data.lens_light import noise_map as noise_map
    from lenskit.data.lens_light import smooth_light as smooth_light
    from lenskit.data.memory import keep_freed_memory as keep_freed_memory
    from lenskit.data.orientation import orient_images as orient_images
    from lenskit.data.orientation import orient_values as orient_values
    from lenskit.data.preprocess import Preprocess as Preprocess
    from lenskit.data.preprocess import border_noise as border_noise
    from lenskit.data.readers import data_name as data_name
    from lenskit.data.readers import find_reader as find_reader
    from lenskit.data.readers import open_dataset as open_dataset
    from lenskit.data.readers import spelled_out as spelled_out
    from lenskit.data.source import Chunk as Chunk
    from lenskit.data.source import check_complete as check_complete
    from lenskit.data.source import simulated as simulated
    from lenskit.data.source import source_of as source_of
    from lenskit.data.source import stored as stored
    from lenskit.distributions import Distribution as Distribution
    from lenskit.drawing import save_figure as save_figure
    from lenskit.drawing import settle_texts as settle_texts
    from lenskit.embeddings import Embeddings as Embeddings
    from lenskit.embeddings import is_embeddings as is_embeddings
    from lenskit.encoder import Encoder as Encoder
    from lenskit.encoder import EncoderCard as EncoderCard
    from lenskit.encoder import is_halved as is_halved
    from lenskit.encoders.encoder_run import EncoderRun as EncoderRun
    from lenskit.encoders.encoder_run import open_run as open_run
    from lenskit.encoders.named import find_named as find_named
    from lenskit.encoders.named import not_named as not_named
    from lenskit.files import write_atomically as write_atomically
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
    from lenskit.ownership import asked as asked
    from lenskit.ownership import check_folder as check_folder
    from lenskit.ownership import check_free as check_free
    from lenskit.ownership import check_output as check_output
    from lenskit.ownership import in_folder as in_folder
    from lenskit.ownership import is_stamped as is_stamped
    from lenskit.ownership import listed_in as listed_in
    from lenskit.ownership import stamp as stamp
    from lenskit.ownership import working_folder as working_folder
    from lenskit.ownership import write_list as write_list
    from lenskit.pictures import colours as colours
    from lenskit.pictures import write_picture as write_picture
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
    from lenskit.run import Run as Run
    from lenskit.runs import compare_runs as compare_runs
    from lenskit.runs import plot_runs as plot_runs
    from lenskit.store.cluster import connected as connected
    from lenskit.store.fits_format import FitsFormat as FitsFormat
    from lenskit.store.hdf5_format import Hdf5Format as Hdf5Format
    from lenskit.store.plan import Plan as Plan
    from lenskit.store.store import Store as Store
    from lenskit.store.store import coordinate_name as coordinate_name
    from lenskit.store.store import is_store as is_store
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

_LAZY = {
    "stamp": "lenskit.ownership",
    "asked": "lenskit.ownership",
    "check_folder": "lenskit.ownership",
    "check_free": "lenskit.ownership",
    "check_output": "lenskit.ownership",
    "in_folder": "lenskit.ownership",
    "is_stamped": "lenskit.ownership",
    "listed_in": "lenskit.ownership",
    "working_folder": "lenskit.ownership",
    "write_list": "lenskit.ownership",
    "Backbone": "lenskit.kinds.backbone",
    "Batch": "lenskit.kinds.pairs",
    "Budget": "lenskit.kinds.method",
    "Chunk": "lenskit.data.source",
    "Damaged": "lenskit.checksums",
    "Dataset": "lenskit.kinds.dataset",
    "Distribution": "lenskit.distributions",
    "Embeddings": "lenskit.embeddings",
    "Encoder": "lenskit.encoder",
    "EncoderCard": "lenskit.encoder",
    "is_halved": "lenskit.encoder",
    "EncoderRun": "lenskit.encoders.encoder_run",
    "open_run": "lenskit.encoders.encoder_run",
    "find_named": "lenskit.encoders.named",
    "not_named": "lenskit.encoders.named",
    "cache_folder": "lenskit.cache",
    "Evaluation": "lenskit.kinds.evaluation",
    "FitsFormat": "lenskit.store.fits_format",
    "Hdf5Format": "lenskit.store.hdf5_format",
    "KeyedGenerator": "lenskit.data.generator",
    "MacroModel": "lenskit.kinds.macro_model",
    "Method": "lenskit.kinds.method",
    "PairStrategy": "lenskit.kinds.pairs",
    "Parameter": "lenskit.kinds.parameter",
    "ParameterRecord": "lenskit.kinds.parameter",
    "Plan": "lenskit.store.plan",
    "Preprocess": "lenskit.data.preprocess",
    "Record": "lenskit.records",
    "Run": "lenskit.run",
    "Scene": "lenskit.kinds.simulator",
    "Simulator": "lenskit.kinds.simulator",
    "Store": "lenskit.store.store",
    "Transform": "lenskit.kinds.pairs",
    "alignment": "lenskit.training.probe",
    "as_label": "lenskit.words",
    "as_markdown": "lenskit.words",
    "at_most": "lenskit.options",
    "border_noise": "lenskit.data.preprocess",
    "check_bytes": "lenskit.reading.limits",
    "check_archive": "lenskit.checksums",
    "checked": "lenskit.records",
    "check_complete": "lenskit.data.source",
    "check_hdu": "lenskit.reading.fits_file",
    "colours": "lenskit.pictures",
    "write_picture": "lenskit.pictures",
    "compare_runs": "lenskit.runs",
    "connected": "lenskit.store.cluster",
    "coordinate_name": "lenskit.store.store",
    "data_name": "lenskit.data.readers",
    "effective_rank": "lenskit.training.collapse",
    "escaped": "lenskit.words",
    "find_reader": "lenskit.data.readers",
    "first_inexact": "lenskit.reading.whole",
    "hdf5_item": "lenskit.reading.hdf5_file",
    "held_out": "lenskit.training.heldout",
    "Reading": "lenskit.training.shortcut",
    "shortcuts": "lenskit.training.shortcut",
    "is_angle": "lenskit.reading.units",
    "is_embeddings": "lenskit.embeddings",
    "is_store": "lenskit.store.store",
    "keep_freed_memory": "lenskit.data.memory",
    "load_array": "lenskit.reading.numpy_file",
    "open_arrays": "lenskit.reading.numpy_file",
    "open_bytes": "lenskit.reading.fits_file",
    "load_json": "lenskit.records",
    "load_tensors": "lenskit.checksums",
    "listed": "lenskit.words",
    "noise_map": "lenskit.data.lens_light",
    "open_dataset": "lenskit.data.readers",
    "open_fits": "lenskit.reading.fits_file",
    "quiet_fits": "lenskit.reading.quiet",
    "repeated": "lenskit.reading.fits_header",
    "wrong_card": "lenskit.reading.fits_header",
    "orient_images": "lenskit.data.orientation",
    "orient_values": "lenskit.data.orientation",
    "parse_number": "lenskit.reading.delimited",
    "parameters_of": "lenskit.kinds.parameter",
    "parse_json": "lenskit.records",
    "plot_runs": "lenskit.runs",
    "projection_std": "lenskit.training.collapse",
    "quoted": "lenskit.words",
    "read_assignment": "lenskit.layers",
    "read_delimited": "lenskit.reading.delimited",
    "read_lenses": "lenskit.data.held",
    "read_numbers": "lenskit.reading.delimited",
    "read_toml": "lenskit.layers",
    "save_tensors": "lenskit.checksums",
    "reason": "lenskit.words",
    "save_figure": "lenskit.drawing",
    "settle_texts": "lenskit.drawing",
    "shortened": "lenskit.words",
    "simulated": "lenskit.data.source",
    "smooth_light": "lenskit.data.lens_light",
    "source_of": "lenskit.data.source",
    "spelled_out": "lenskit.data.readers",
    "stored": "lenskit.data.source",
    "theta_E_columns": "lenskit.reading.units",
    "to_arcsec": "lenskit.reading.units",
    "uniformity": "lenskit.training.probe",
    "unit_in": "lenskit.reading.units",
    "unit_named": "lenskit.reading.units",
    "whole_numbers": "lenskit.reading.whole",
    "without_folders": "lenskit.published",
    "write_atomically": "lenskit.files",
}

__all__ = ["Component", "LenskitError", "UsageError", "hookimpl", "meant", "near", "too_many_files", *_LAZY]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)
