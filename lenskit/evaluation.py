"""Facade for evaluations: runs, lens sets, splits, embeddings and results.

An evaluation is a subclass of `lenskit.plugin.Evaluation`, or of `OnLenses`, which fits on some lenses and tests on
others. It writes its results with `write_results`; then `lenskit report` shows them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lenskit.facade import loaded, modules_in

if TYPE_CHECKING:
    from lenskit.asked import asked as asked
    from lenskit.data.lens_set import ArrayLenses as ArrayLenses
    from lenskit.data.lens_set import Lenses as Lenses
    from lenskit.data.lens_set import LensSet as LensSet
    from lenskit.data.lens_set import LensTable as LensTable
    from lenskit.data.lens_set import join_values as join_values
    from lenskit.data.readers import absolute_spec as absolute_spec
    from lenskit.data.readers import data_name as data_name
    from lenskit.data.readers import find_reader as find_reader
    from lenskit.data.readers import open_dataset as open_dataset
    from lenskit.data.simulated import SimulatedLenses as SimulatedLenses
    from lenskit.data.stored import StoredLenses as StoredLenses
    from lenskit.data.training_set import training_set_of as training_set_of
    from lenskit.destinations import check_folder as check_folder
    from lenskit.destinations import check_free as check_free
    from lenskit.destinations import check_output as check_output
    from lenskit.destinations import free_place as free_place
    from lenskit.destinations import in_folder as in_folder
    from lenskit.destinations import working_folder as working_folder
    from lenskit.embeddings import Embedder as Embedder
    from lenskit.embeddings import Embeddings as Embeddings
    from lenskit.embeddings import embed as embed
    from lenskit.embeddings import is_embeddings as is_embeddings
    from lenskit.encoder import Encoder as Encoder
    from lenskit.encoder import is_halved as is_halved
    from lenskit.encoder_card import EncoderCard as EncoderCard
    from lenskit.encoders.encoder_run import EncoderRun as EncoderRun
    from lenskit.encoders.encoder_run import open_run as open_run
    from lenskit.evaluations.lens_split import LensSplit as LensSplit
    from lenskit.evaluations.lens_split import embed_rows as embed_rows
    from lenskit.evaluations.lens_split import simulated_split as simulated_split
    from lenskit.evaluations.lens_split import split_embeddings as split_embeddings
    from lenskit.evaluations.lens_split import stored_split as stored_split
    from lenskit.evaluations.on_lenses import OnLenses as OnLenses
    from lenskit.evaluations.on_lenses import Seed as Seed
    from lenskit.evaluations.on_lenses import check_one_source as check_one_source
    from lenskit.evaluations.origins import simulated_origin as simulated_origin
    from lenskit.evaluations.origins import stored_origin as stored_origin
    from lenskit.evaluations.results import RESULT_FILES as RESULT_FILES
    from lenskit.evaluations.results import Content as Content
    from lenskit.evaluations.results import write_results as write_results
    from lenskit.evaluations.splits import Array as Array
    from lenskit.evaluations.splits import Rows as Rows
    from lenskit.evaluations.splits import Split as Split
    from lenskit.evaluations.splits import check_same_units as check_same_units
    from lenskit.evaluations.splits import check_units as check_units
    from lenskit.evaluations.splits import known_values as known_values
    from lenskit.evaluations.splits import sides_of as sides_of
    from lenskit.evaluations.subjects import Subject as Subject
    from lenskit.evaluations.subjects import best_device as best_device
    from lenskit.evaluations.subjects import encoders_of as encoders_of
    from lenskit.evaluations.subjects import labelled as labelled
    from lenskit.evaluations.subjects import simulator_of as simulator_of
    from lenskit.evaluations.subjects import simulator_options as simulator_options
    from lenskit.evaluations.subjects import to_best_device as to_best_device
    from lenskit.evaluations.tables import as_text as as_text
    from lenskit.evaluations.tables import show as show
    from lenskit.evaluations.tables import to_csv as to_csv
    from lenskit.evaluations.tables import to_markdown as to_markdown
    from lenskit.identity import digest as digest
    from lenskit.ownership import is_stamped as is_stamped
    from lenskit.ownership import stamp as stamp
    from lenskit.published import without_folders as without_folders
    from lenskit.run import Run as Run
    from lenskit.run_summary import compare_runs as compare_runs
    from lenskit.run_summary import plot_runs as plot_runs
    from lenskit.store.cluster import connected as connected
    from lenskit.training.collapse import effective_rank as effective_rank
    from lenskit.training.collapse import projection_std as projection_std
    from lenskit.training.probe import alignment as alignment
    from lenskit.training.probe import uniformity as uniformity
    from lenskit.training.probe_lenses import held_out as held_out
    from lenskit.training.ridge import fit_ridge as fit_ridge
    from lenskit.training.shortcut import Reading as Reading
    from lenskit.training.shortcut import shortcuts as shortcuts

_MODULES = modules_in(__file__)

__all__ = [*_MODULES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    return loaded(name, __name__, _MODULES)


def __dir__() -> list[str]:
    return sorted(__all__)
