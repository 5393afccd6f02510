"""Tests of `lenskit neighbours`, and of archives with access to their images."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from lenskit.cli.main import run as lenskit
from lenskit.errors import LenskitError, UsageError
from lenskit.evaluation import Embeddings
from lenskit.run import Run
from lenskit_evaluation.embed import Embed
from lenskit_evaluation.neighbours.archive import embed_archive, images_of
from lenskit_evaluation.neighbours.evaluation import Neighbours


def blobs(run: Run, numbers: list[int], pixels: int = 16) -> np.ndarray:
    """Return the images (n, 1, H, W) of the archive that `embed` makes with seed 0."""
    simulator = run.simulator(pixels=pixels)
    return simulator.render(simulator.scene(0, "embed", torch.tensor(numbers))).numpy()


@pytest.mark.slow
def test_an_image_of_the_archive_finds_itself(run: Run, images: Path) -> None:
    assert lenskit(["neighbours", str(run.path), str(images), "--archive", str(images), "-k", "3"]) == 0
    with (run.folder("neighbours") / "table.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == 36
    assert [row["rank"] for row in rows[:3]] == ["1", "2", "3"]
    first = rows[::3]
    assert [row["neighbour"] for row in first] == [row["query"] for row in first]
    assert max(abs(float(row["distance"])) for row in first) < 1e-6
    assert all(float(row["width"]) > 0 for row in rows)
    assert (run.folder("neighbours") / "neighbours.png").stat().st_size > 0


def test_an_array_finds_the_simulated_lens_that_it_is(run: Run, tmp_path: Path) -> None:
    (image,) = blobs(run, [11])
    np.save(tmp_path / "mine.npy", image[0])
    rows = Neighbours(lenses=40, k=2, metric="euclidean")([run], [str(tmp_path / "mine.npy")])
    assert (rows[0]["query"], rows[0]["neighbour"]) == ("mine", "11")
    assert rows[0]["distance"] < 1e-3 < rows[1]["distance"]


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["(H, W)", "(C, H, W)", "(n, C, H, W)", "larger"])
def test_arrays_may_have_these_shapes(run: Run, tmp_path: Path, shape: str) -> None:
    found = blobs(run, [1, 2])
    array = {"(H, W)": found[0, 0], "(C, H, W)": found[0], "(n, C, H, W)": found}.get(shape, np.pad(found[0, 0], 3))
    np.save(tmp_path / "a.npy", array)
    rows = Neighbours(lenses=20, k=1)([run], [str(tmp_path / "a.npy")])
    assert [row["neighbour"] for row in rows] == (["1", "2"] if shape.startswith("(n") else ["1"])


def test_images_of_an_archive_are_rendered_from_their_addresses(run: Run, tmp_path: Path) -> None:
    Embed(lenses=30, projection=False, output=str(tmp_path / "f.npz"))([run])
    archive = Embeddings.load(tmp_path / "f.npz")
    shown = images_of(archive, run, run.encoder())
    assert shown is not None
    np.testing.assert_allclose(shown([4, 2]).numpy(), blobs(run, [4, 2]), atol=1e-6)
    np.save(tmp_path / "q.npy", blobs(run, [4]))
    rows = Neighbours(archive=str(tmp_path / "f.npz"), k=3)([run], [str(tmp_path / "q.npy")])
    assert rows[0]["neighbour"] == "4"


@pytest.mark.slow
def test_stored_images_are_looked_for_where_data_says(run: Run, images: Path, tmp_path: Path) -> None:
    Embed(data=str(images), projection=False, output=str(tmp_path / "f.npz"))([run])
    moved = images.rename(tmp_path / "moved")
    query = [str(moved / "blob03.fits")]
    rows = Neighbours(archive=str(tmp_path / "f.npz"), k=1)([run], query)
    assert rows[0]["neighbour"] == "blob03"
    assert not (run.folder("neighbours") / "neighbours.png").exists()
    Neighbours(archive=str(tmp_path / "f.npz"), k=1, data=str(moved))([run], query)
    assert (run.folder("neighbours") / "neighbours.png").exists()
    (moved / "blob05.fits").unlink()
    with pytest.raises(UsageError, match="pass the images of the archive with --data"):
        Neighbours(archive=str(tmp_path / "f.npz"), k=1, data=str(moved))([run], query)


@pytest.mark.slow
def test_an_archive_of_another_encoder_is_refused(run: Run, images: Path, tmp_path: Path) -> None:
    file = str(tmp_path / "f.npz")
    Embed(data=str(images), projection=False, output=file)([run])
    encoder = run.encoder()
    with torch.no_grad():
        for weights in encoder.backbone.parameters():
            weights += 0.3 * torch.randn_like(weights)
    encoder.save(run.path / "encoder")
    with pytest.raises(UsageError, match="differs from the features of the same images by the encoder of "):
        Neighbours(archive=file)([run], [str(images)])
    stored = Embeddings.load(file)
    stored.about["encoder"]["pairs"] = "default"
    stored.save(file)
    with pytest.raises(UsageError, match="was computed by a different encoder: its pairs is default"):
        Neighbours(archive=file)([run], [str(images)])
    Embeddings(np.ones((20, 3)), path=file).save(file)
    with pytest.raises(UsageError, match="3 features per image, but the encoder of .* has 16"):
        Neighbours(archive=file)([run], [str(images)])


@pytest.mark.slow
def test_what_cannot_be_done_is_one_line(run: Run, images: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--k 13 is more than the 12 images of the archive"):
        Neighbours(archive=str(images), k=13)([run], [str(images)])
    with pytest.raises(UsageError, match="no parameter 'theta_E'; it has width"):
        Neighbours(archive=str(images), parameter=["theta_E"])([run], [str(images)])
    with pytest.raises(UsageError, match="add this file with --archive PATH"):
        Neighbours(data=str(images))
    with pytest.raises(UsageError, match="two archives"):
        Neighbours(archive=str(images), simulator="blobs")
    np.save(tmp_path / "small.npy", np.zeros((8, 8)))
    with pytest.raises(UsageError, match=r"small.npy: the encoder takes images \(n, 1 x 16 x 16\)"):
        Neighbours(archive=str(images))([run], [str(tmp_path / "small.npy")])
    for shape in ((0, 1, 16, 16), (0, 16, 16)):
        np.save(tmp_path / "empty.npy", np.zeros(shape))
        with pytest.raises(UsageError, match=r"empty.npy holds no images"):
            Neighbours(archive=str(images))([run], [str(tmp_path / "empty.npy")])
    (tmp_path / "broken.npy").write_bytes(b"none")
    with pytest.raises(LenskitError, match="cannot be read as a numpy array"):
        Neighbours(archive=str(images))([run], [str(tmp_path / "broken.npy")])
    assert not (run.path / "evaluations" / "neighbours" / "table.csv").exists()


@pytest.mark.slow
def test_an_archive_made_in_memory_is_the_one_of_embed(run: Run, tmp_path: Path) -> None:
    made = embed_archive(run, None, lenses=10, seed=4, simulator=None, changes=["width=uniform(1, 2)"])
    Embed(lenses=10, seed=4, set=["width=uniform(1, 2)"], projection=False, output=str(tmp_path / "f.npz"))([run])
    np.testing.assert_allclose(made.features, Embeddings.load(tmp_path / "f.npz").features, rtol=1e-5, atol=1e-6)
    shown = images_of(made, run, run.encoder())
    assert shown is not None
    assert made.values["width"].max() <= 2
    again = run.encoder().embed(shown([7]))
    np.testing.assert_allclose(again[0], np.asarray(made.features)[7], rtol=1e-4, atol=1e-5)
