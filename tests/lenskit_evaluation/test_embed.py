"""Tests of `lenskit embed`."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from lenskit.cli.main import run as lenskit
from lenskit.errors import LenskitError, UsageError
from lenskit.evaluation import Embeddings, Run, open_dataset
from lenskit.plugin import Parameter
from lenskit_evaluation.embed import Embed

WIDTH = Parameter("width", "arcsec", "$w$", "lens", headline=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store of 300 lenses with two images each, in chunks of 32.

    This gives several parts, and several batches per part.
    """
    path = tmp_path_factory.mktemp("store") / "pairs.zarr"
    flags = "--simulator blobs --pairs lens-fixed --lenses 300 --chunk 32 --seed 5 --workers 1 --out"
    assert lenskit(["simulate", *flags.split(), str(path)]) == 0
    return path


def projected(run: Run, images: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return features and projections of images, embedded one by one."""
    with torch.no_grad():
        features = torch.cat([run.encoder()(image[None]) for image in images])
        return features.numpy(), run.method().project(features).numpy()


@pytest.mark.slow
def test_embeds_stored_images(run: Run, images: Path, tmp_path: Path) -> None:
    assert lenskit(["embed", str(run.path), "--data", str(images), "-o", str(tmp_path / "f.parquet")]) == 0
    found = Embeddings.load(tmp_path / "f.parquet")
    assert found.names == [f"blob{number:02}" for number in range(12)]
    assert list(found.values) == ["width"]
    assert found.lens.tolist() == list(range(12))
    assert found.about["images"] == {"reader": "fits-folder", "path": str(images)}
    features, projections = projected(run, open_dataset(str(images), size=16).read(range(12))[0][:, 0])
    np.testing.assert_allclose(found.features, features, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.representations["projection"], projections, rtol=1e-5, atol=1e-6)


def test_embeds_to_a_format_of_a_third_party(tmp_path: Path) -> None:
    path = tmp_path / "f.fjson"
    assert lenskit(["embed", "dotty", "--lenses", "6", "-o", str(path)]) == 0
    assert lenskit(["embed", "dotty", "--lenses", "6", "-o", str(tmp_path / "f.npz")]) == 0
    found, other = Embeddings.load(path), Embeddings.load(tmp_path / "f.npz")
    np.testing.assert_array_equal(found.features, other.features)
    assert (found.names, found.parameters, found.about) == (other.names, other.parameters, other.about)
    assert lenskit(["embed", "dotty", "--lenses", "6", "-o", str(path)]) == 0
    path.write_text("mine")
    assert lenskit(["embed", "dotty", "--lenses", "6", "-o", str(path)]) == 2
    assert path.read_text() == "mine"


def test_all_views_of_stored_lenses_say_which_lens_they_show(run: Run, store: Path) -> None:
    found = Embed(data=str(store), views="all")([run])[run.name]
    assert found.lens.tolist() == [lens for lens in range(300) for _ in range(2)]
    assert found.view.tolist() == [0, 1] * 300
    simulated = found.about["images"]["simulated"]["simulate"]
    assert (simulated["seed"], simulated["split"]) == (5, "train")
    # The recorded origin is enough to render the image again.
    simulator = run.simulator()
    lens, view = torch.from_numpy(found.lens[77:78]), torch.from_numpy(found.view[77:78])
    scene = simulator.scene(5, "train", lens, view, shared=simulated["shared"])
    features, _ = projected(run, simulator.render(scene))
    np.testing.assert_allclose(found.features[77:78], features, rtol=1e-4, atol=1e-5)
    assert found.values["width"][77] == pytest.approx(scene["width"].item())
    assert found.parameters[0] == WIDTH

    first = Embed(data=str(store), output="first.zarr")([run])[run.name]
    np.testing.assert_allclose(np.asarray(first.features), np.asarray(found.features)[::2], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_embeds_simulated_lenses_that_training_did_not_see(run: Run) -> None:
    found = Embed(lenses=20, seed=3)([run])[run.name]
    assert found.path == run.path / "evaluations" / "embed" / "features.zarr"
    assert found.features.shape == (20, 16)
    simulator = run.simulator()
    seen = simulator.scene(3, "train", torch.arange(20))["width"]
    assert not np.isin(found.values["width"], seen.double().numpy()).any()
    address = found.about["images"]
    assert (address["seed"], address["split"]) == (3, "embed")
    scene = simulator.scene(3, "embed", torch.from_numpy(found.lens))
    np.testing.assert_array_equal(found.values["width"], scene["width"].double())
    features, _ = projected(run, simulator.render(scene))
    np.testing.assert_allclose(np.asarray(found.features), features, rtol=1e-4, atol=1e-5)
    # The lenses do not depend on their number.
    more = Embed(lenses=37, seed=3)([run])[run.name]
    np.testing.assert_array_equal(more.values["width"][:20], found.values["width"])


def test_changes_priors_and_simulator(run: Run) -> None:
    found = Embed(lenses=20, set=["width=uniform(5, 6)"])([run])[run.name]
    assert found.values["width"].min() >= 5
    assert found.about["images"]["set"] == ["width=uniform(5, 6)"]
    found = Embed(lenses=5, simulator="blobs")([run])[run.name]
    assert found.about["images"]["simulator"] == {"name": "blobs@lenskit-ssl-toys"}
    with pytest.raises(UsageError, match="--set takes OPTION=VALUE"):
        Embed(set=["width"])([run])
    with pytest.raises(UsageError, match="no option 'widht': did you mean width"):
        Embed(set=["widht=3"])([run])


@pytest.mark.slow
def test_projections_are_written_where_there_are_any(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    assert list(Embed(lenses=5)([run])[run.name].representations) == ["backbone", "projection"]
    assert list(Embed(lenses=5, projection=False)([run])[run.name].representations) == ["backbone"]

    shutil.copytree(run.path / "encoder", run.path / "best")
    best = Run(run.path / "best")
    found = Embed(lenses=5)([best])[best.name]
    assert found.path == run.path / "evaluations" / "best" / "embed" / "features.zarr"
    assert list(found.representations) == ["backbone"]
    with pytest.raises(LenskitError, match="best has only a backbone"):
        Embed(lenses=5, projection=True)([best])

    run.checkpoint.unlink()
    assert list(Embed(lenses=5)([run])[run.name].representations) == ["backbone"]
    assert "has no checkpoint of its method: no projections are written" in caplog.text
    with pytest.raises(LenskitError, match="has no checkpoint"):
        Embed(lenses=5, projection=True)([run])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--views", "all"], "--views all is for stored images"),
        (["--data", "a", "--simulator", "blobs"], "two sources of lenses"),
        (["--data", "nowhere"], "there are no data at nowhere"),
        (["-o", "f.csv"], "embedding file must end with .fjson, .npz, .parquet, .zarr, but is f.csv"),
        (["-o", "blobs"], "the name of an embedding file must end with"),
    ],
)
def test_wrong_usage_is_one_line_before_anything_is_written(
    flags: list[str], message: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lenskit(["embed", str(run.path), *flags]) in (1, 2)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not (run.path / "evaluations").exists()


def test_one_output_for_two_runs_is_refused(run: Run, tmp_path: Path) -> None:
    other = Run(shutil.copytree(run.path, tmp_path / "other"))
    with pytest.raises(UsageError, match="names one file, but there are 2 runs"):
        Embed(output="f.npz")([run, other])


def test_images_are_never_replaced_by_their_features(run: Run, store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "pairs.zarr")
    with pytest.raises(UsageError, match="pairs.zarr exists and holds no embeddings"):
        Embed(data="pairs.zarr", output="pairs.zarr")([run])
    assert (tmp_path / "pairs.zarr" / "images").is_dir()


def test_an_image_that_cannot_be_read_leaves_no_file(run: Run, store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "pairs.zarr")
    chunk = tmp_path / "pairs.zarr" / "images" / "c.3.0.0.0.0"
    content = chunk.read_bytes()
    chunk.write_bytes(content[:-9] + b"damage!!!")
    with pytest.raises(LenskitError, match="c.3.0.0.0.0 is damaged"):
        Embed(data="pairs.zarr", output="f.zarr")([run])
    assert not (tmp_path / "f.zarr").exists()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["blobs", "pairs.zarr"]


@pytest.mark.slow
def test_threads_and_a_cluster_write_the_same_file(run: Run, store: Path, tmp_path: Path) -> None:
    """Threads and a cluster write the same bytes.

    The cluster's worker is a thread, which receives the same messages as a process; test_cluster.py uses processes.
    """
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp", dashboard_address=None, silence_logs=50
    ) as cluster:
        ways = {"one": {"workers": 1}, "two": {"workers": 2}, "dask": {"dask": cluster.scheduler_address}}
        for name, options in ways.items():
            Embed(data=str(store), views="all", output=f"{name}.zarr", **options)([run])
    one, *others = (tmp_path / f"{name}.zarr" for name in ("one", "two", "dask"))
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    for other in others:
        assert sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file()) == files
        for file in files:
            assert (other / file).read_bytes() == (one / file).read_bytes(), file
