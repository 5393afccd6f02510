"""Formats are found by name and by file extension."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lenskit.embeddings import Embeddings, is_embeddings
from lenskit.embeddings.feature_format import FeatureFormat
from lenskit.errors import UsageError
from lenskit.formats import find_format, formats_of, meant_by
from lenskit.kinds.format import FileFormat
from lenskit.registry import registry
from lenskit.rendering.image_format import ImageFormat
from lenskit.store.format import Format

HOLDS = {
    "fits": ["stores"],
    "hdf5": ["stores", "images"],
    "json-features": ["features"],
    "mat": ["images"],
    "npy": ["images", "features"],
    "npy-folder": ["stores"],
    "npz": ["features"],
    "parquet": ["features"],
    "pgm": ["images"],
    "png": ["images"],
    "zarr": ["stores", "features"],
}


def test_formats_are_found_by_what_they_hold() -> None:
    assert {name: each.contents() for name, each in formats_of(FileFormat).items()} == HOLDS
    for base in (Format, ImageFormat, FeatureFormat):
        assert [*formats_of(base)] == [name for name, contents in HOLDS.items() if base.holds in contents]


@pytest.mark.parametrize("record", registry().of_kind("format"), ids=lambda record: record.name)
def test_the_summary_says_what_a_format_holds_and_its_reader_is_a_dataset(record: Any) -> None:
    contents, _, _ = record.component.summary.partition(": ")
    assert contents.lower().split(" and ") == HOLDS[record.name]
    if reader := record.load().reader:
        assert registry().find("dataset", reader)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("hdf5", "holds stores and images; selected by NAME.h5, NAME.hdf5; read by the dataset hdf5"),
        ("zarr", "holds stores and features; selected by NAME, NAME.zarr; read by the dataset zarr"),
        ("fits", "holds stores; selected by --format only; read by the dataset lensiam-fits"),
        ("mat", "holds images; selected by NAME.mat"),
    ],
)
def test_info_says_what_a_format_holds_which_paths_mean_it_and_what_reads_it(
    name: str, told: str, lenskit: Callable[..., Any]
) -> None:
    assert told in lenskit("info", name).out.splitlines()


def test_a_format_that_holds_something_else_is_refused(lenskit: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="format 'png' does not hold stores: use fits, hdf5, npy-folder, zarr"):
        find_format(Format, "png")
    complaint = lenskit("simulate", "--simulator", "blobs", "--lenses", 1, "--out", "a", "--format", "mat").complaint()
    assert complaint == "format 'mat' does not hold stores: use fits, hdf5, npy-folder, zarr"
    with pytest.raises(
        UsageError, match=r"give the --format of a.png \(fits, hdf5, npy-folder, zarr\), or use an ending of"
    ):
        meant_by(Format, Path("a.png"), ".png")
    with pytest.raises(UsageError, match=r"but is a.npx \(did you mean .npz"):
        Embeddings([[1.0]]).save("a.npx")


HOOK = "@hookimpl\ndef lenskit_formats():\n    return [Component('acme', 'acme:Acme', 'Features: of Acme')]\n"
ACME = """
from lenskit_toys.json_features import JsonFeatures

class Acme(JsonFeatures):
    endings = (".npz",)
"""


def test_of_two_formats_of_features_with_one_ending_the_one_that_knows_the_file_reads_it(
    install: Callable[..., None],
) -> None:
    Embeddings([[1.0, 2.0]]).save("a.npz")
    Embeddings([[3.0, 4.0]]).save("b.fjson")
    Path("b.fjson").rename("b.npz")
    install("acme", HOOK, acme=ACME)
    for name, features in {"a.npz": [[1, 2]], "b.npz": [[3, 4]]}.items():
        assert is_embeddings(Path(name))
        np.testing.assert_array_equal(np.asarray(Embeddings.load(name).features), features)
    with pytest.raises(UsageError, match="c.npz: acme, npz have that ending"):
        Embeddings([[1.0]]).save("c.npz")
