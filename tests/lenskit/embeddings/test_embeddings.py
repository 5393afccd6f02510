"""Features with their metadata, in every format."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lenskit.embeddings import BACKBONE, PROJECTION, Embeddings, is_embeddings
from lenskit.errors import LenskitError, UsageError
from lenskit.kinds.parameter import Parameter

ENDINGS = (".zarr", ".parquet", ".npz")
PARAMETERS = (
    Parameter("theta_E", "arcsec", r"$\theta_E$", headline=True),
    Parameter("kind", classes=("ring", "arc", "Einstein's é"), group="source"),
    Parameter("source_stamp", group="source", identity=True),
)


def made(n: int, seed: int = 0, views: int = 2, width: int = 5) -> Embeddings:
    """Return embeddings of n images, with names and values that formats may mishandle."""
    rng = np.random.default_rng(seed)
    values = {
        "theta_E": rng.normal(size=n),
        "kind": rng.integers(0, 3, n),
        "source_stamp": rng.integers(-1, 5, n),
        "lens": np.where(rng.random(n) < 0.5, np.nan, 1.0),
        "log10(M / Msun)": rng.normal(size=n),
    }
    return Embeddings(
        {
            BACKBONE: rng.normal(size=(n, width)).astype(np.float32),
            PROJECTION: rng.normal(size=(n, 3)).astype(np.float32),
        },
        values,
        parameters=PARAMETERS,
        lens=np.arange(n) // views,
        view=np.arange(n) % views,
        names=[f"é/{number}" * (number % 3) for number in range(n)],
        about={"images": {"seed": 3, "split": "embed"}},
    )


def rows(embeddings: Embeddings, part: slice) -> Embeddings:
    return Embeddings(
        {name: value[part] for name, value in embeddings.representations.items()},
        {name: value[part] for name, value in embeddings.values.items()},
        parameters=embeddings.parameters,
        lens=embeddings.lens[part],
        view=embeddings.view[part],
        names=embeddings.names[part],
        about=embeddings.about,
    )


def assert_same(one: Embeddings, other: Embeddings) -> None:
    assert list(one.representations) == list(other.representations)
    for name, value in one.representations.items():
        np.testing.assert_array_equal(np.asarray(other.representations[name]), np.asarray(value))
        assert other.representations[name].dtype == value.dtype
    assert list(one.values) == list(other.values)
    for name, value in one.values.items():
        np.testing.assert_array_equal(other.values[name], value)
    assert (one.parameters, one.names, one.about) == (other.parameters, other.names, other.about)
    np.testing.assert_array_equal(one.lens, other.lens)
    np.testing.assert_array_equal(one.view, other.view)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
@settings(
    deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(n=st.integers(1, 40), cuts=st.lists(st.integers(0, 40), max_size=4), seed=st.integers(0, 99))
def test_what_is_written_part_by_part_is_read_as_it_was(
    tmp_path: Path, ending: str, n: int, cuts: list[int], seed: int
) -> None:
    whole, path = made(n, seed), tmp_path / f"features{ending}"
    edges = sorted({0, n, *(cut for cut in cuts if cut < n)})
    parts = [rows(whole, slice(start, stop)) for start, stop in pairwise(edges)]
    Embeddings.write(path, iter(parts), n)
    assert is_embeddings(path)
    read = Embeddings.load(path)
    assert_same(whole, read)
    assert (read.path, read.name) == (path, "features")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.slow
@pytest.mark.parametrize("ending", ENDINGS)
def test_files_of_many_chunks(tmp_path: Path, ending: str) -> None:
    n, step = 270_000, 29_000
    whole, path = made(n, width=60), tmp_path / f"features{ending}"
    Embeddings.write(path, (rows(whole, slice(start, start + step)) for start in range(0, n, step)), n)
    assert_same(whole, Embeddings.load(path))
    if ending == ".zarr":
        # Chunks have 2^15 rows of features (at most 8 MiB) and 2^17 rows of other columns.
        assert len(list((path / "features").glob("c.*"))) == 9
        assert len(list((path / "theta_E").glob("c.*"))) == 3


@pytest.mark.slow
@given(data=st.data())
@settings(deadline=None, max_examples=30)
def test_features_on_disk_are_taken_by_rows_as_an_array_is(stored: Embeddings, data: st.DataObject) -> None:
    whole, features = made(30).features, stored.features
    numbers = data.draw(st.lists(st.integers(-30, 29), max_size=9))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=30, max_size=30)))
    cut = data.draw(st.slices(30).filter(lambda cut: (cut.step or 1) > 0))
    for chosen in (np.array(numbers, int), mask, cut):
        np.testing.assert_array_equal(features[chosen], whole[chosen])
    with pytest.raises(IndexError):
        features[np.array([30])]


@pytest.fixture(scope="module", params=[".zarr", ".npy"])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Embeddings:
    """Return embeddings whose features stay on disk."""
    path = tmp_path_factory.mktemp("stored") / f"features{request.param}"
    if request.param == ".npy":
        np.save(path, made(30).features)
    else:
        made(30).save(path)
    return Embeddings.load(path)


def test_opening_a_file_reads_no_features(stored: Embeddings) -> None:
    assert not isinstance(stored.features, np.ndarray)
    assert stored.features.shape == (30, 5)
    assert np.asarray(stored.features).shape == (30, 5)


@pytest.mark.slow
def test_xarray_opens_it_with_named_dimensions_and_units(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    whole = made(20)
    whole.save(tmp_path / "features.zarr")
    with xarray.open_zarr(tmp_path / "features.zarr") as opened:
        assert opened.features.dims == ("image", "feature")
        assert opened.projection.dims == ("image", "projected")
        np.testing.assert_array_equal(opened.features, whole.features)
        theta_E = opened.features.coords["theta_E"]
        np.testing.assert_array_equal(theta_E, whole.values["theta_E"])
        assert theta_E.attrs["units"] == "arcsec"
        assert theta_E.attrs["long_name"] == r"$\theta_E$"
        assert opened.coords["kind"].attrs["classes"] == ["ring", "arc", "Einstein's é"]
        assert opened.coords["names"].values.tolist() == whole.names


def test_pandas_reads_the_parquet_file(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    whole = made(20)
    whole.save(tmp_path / "features.parquet")
    frame = pandas.read_parquet(tmp_path / "features.parquet")
    np.testing.assert_array_equal(np.stack(frame["features"]), whole.features)
    np.testing.assert_array_equal(frame["theta_E"], whole.values["theta_E"])
    assert frame["names"].tolist() == whole.names


def test_anybodys_arrays(tmp_path: Path) -> None:
    features = np.arange(12.0).reshape(4, 3)
    np.savez(tmp_path / "mine.npz", features=features, theta_E=[1, 2, 3, 4], lens=[7, 7, 8, 8], names=list("abcd"))
    mine = Embeddings.load(tmp_path / "mine.npz")
    np.testing.assert_array_equal(mine.features, features)
    assert mine.parameters == [Parameter("theta_E")]
    assert (mine.lens.tolist(), mine.view.tolist(), mine.names) == ([7, 7, 8, 8], [0] * 4, list("abcd"))

    np.save(tmp_path / "bare.npy", features)
    bare = Embeddings.load(tmp_path / "bare.npy")
    assert (bare.values, bare.lens.tolist(), bare.names) == ({}, [0, 1, 2, 3], ["0", "1", "2", "3"])


def test_anybodys_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"features": [[1.0, 2.0], [3.0, 4.0]], "z": [0.5, None], "survey": ["hst", "euclid"]})
    frame.to_parquet(tmp_path / "mine.parquet")
    mine = Embeddings.load(tmp_path / "mine.parquet")
    np.testing.assert_array_equal(mine.features, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(mine.values["z"], [0.5, np.nan])
    assert "the column survey holds no numbers, and is left out" in caplog.text

    frame.assign(features=[[1.0, 2.0], [3.0]]).to_parquet(tmp_path / "ragged.parquet")
    with pytest.raises(LenskitError, match="the lists in column features have different lengths"):
        Embeddings.load(tmp_path / "ragged.parquet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": {}}, r"need features \(n, d\)"),
        (
            {"features": np.ones((2, 0))},
            r"features are numbers of shape \(n, d\), but backbone is float64 of shape \(2, 0\)",
        ),
        ({"features": [1.0, 2.0]}, r"features are numbers of shape \(n, d\), but backbone is float64 of shape \(2,\)"),
        ({"features": [["a"]]}, "features are numbers"),
        ({"features": [[1.0], [np.nan]]}, "features must be finite, but row 1 of backbone is not"),
        ({"features": [[1.0], [2.0]], "values": {"x": [1.0]}}, "x must be 2 numbers, one for each row of features"),
        ({"features": [[1.0]], "values": {"x": ["a"]}}, "x must be 1 numbers"),
        ({"features": [[1.0]], "lens": [1, 2]}, "lens must be 1 numbers"),
        ({"features": [[1.0], [2.0]], "lens": [1, 1.5]}, "lens must be 64-bit integers, but row 1 is 1.5"),
        ({"features": [[1.0]], "lens": np.array([2**64 - 1], np.uint64)}, "but row 0 is 18446744073709551615"),
        ({"features": [[1.0]], "view": [1e300]}, "view must be 64-bit integers, but row 0 is 1e\\+300"),
        ({"features": [[1.0]], "names": ["a", "b"]}, "1 rows of features need 1 rows in each array"),
        ({"features": {"backbone": [[1.0]], "projection": [[1.0], [2.0]]}}, "1 rows of features need 1 rows"),
    ],
)
def test_what_does_not_fit_together_is_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Embeddings(**arguments)


@pytest.mark.parametrize("ending", ENDINGS)
def test_lenses_of_large_numbers_stay_apart(tmp_path: Path, ending: str) -> None:
    lens = [2**53, 2**53 + 1, -(2**63)]
    Embeddings(np.ones((3, 1)), lens=lens).save(tmp_path / f"a{ending}")
    assert Embeddings.load(tmp_path / f"a{ending}").lens.tolist() == lens
    assert Embeddings(np.ones((2, 1)), lens=np.array([3.0, 4.0])).lens.tolist() == [3, 4]


def test_a_lens_that_parquet_does_not_know_is_told(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"features": [[1.0], [2.0]], "lens": [5, None]}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="a.parquet: lens must be 64-bit integers, but row 1 is nan"):
        Embeddings.load(tmp_path / "a.parquet")


def test_what_evaluations_find_goes_beside_the_file(tmp_path: Path) -> None:
    embeddings = Embeddings([[1.0]], path=tmp_path / "a.zarr")
    assert embeddings.folder("probe") == tmp_path / "a.zarr-evaluations" / "probe"
    assert embeddings.folder("probe").is_dir()


def test_other_rows_than_announced_are_an_error_and_no_file(tmp_path: Path) -> None:
    def parts() -> Iterator[Embeddings]:
        yield made(4)

    for ending in ENDINGS:
        with pytest.raises(LenskitError, match="`rows` is 5, but the parts have 4 rows of embeddings"):
            Embeddings.write(tmp_path / f"features{ending}", parts(), 5)
    assert list(tmp_path.iterdir()) == []
