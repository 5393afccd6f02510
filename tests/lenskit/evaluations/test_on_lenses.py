"""Lenses on which runs are evaluated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lenskit.chosen import build
from lenskit.config import Config
from lenskit.errors import LenskitError, UsageError
from lenskit.evaluation import Embeddings, OnLenses, Run, labelled, open_dataset, simulated_split, stored_split

torch.set_num_threads(1)


@pytest.fixture
def stamps(tmp_path: Path) -> Path:
    """Create images of twenty galaxies on an empty sky."""
    folder = tmp_path / "stamps"
    folder.mkdir()
    y, x = np.indices((50, 50)) - 24.5
    for number in range(20):
        radius = np.hypot(x, y / (0.6 + 0.02 * number))
        np.save(folder / f"{number:02}.npy", np.where(radius < 20, np.exp(-radius / (2 + 0.1 * number)), 0))
    return folder


def simulator(stamps: Path, **options):
    return build(
        "simulator", "hst", {"pixels": 24, "pixel_scale": 0.2, "stamps": str(stamps), "stamps_clean": True, **options}
    )


@pytest.mark.slow
def test_no_galaxy_is_on_both_sides(stamps: Path) -> None:
    lenses = simulated_split(simulator(stamps, merger_fraction=0.3), 60, 30, 0)
    shown = []
    for side, count in ((lenses.train, 60), (lenses.test, 30)):
        assert len(set(side.index)) == len(side) == count
        values = side.values()
        things = np.concatenate([values[name] for name in ("source_stamp", "companion_stamp")])
        shown.append(set(things[things >= 0]))
        assert (things < 0).any()
    assert shown[0]
    assert shown[1]
    assert not shown[0] & shown[1]
    # The number determines the lens, in every selection.
    read = lenses.test.read(range(4))
    scene = lenses.test.simulator.scene(0, "probe-test", torch.from_numpy(lenses.test.index[:4]))
    torch.testing.assert_close(read.values["theta_E"], scene["theta_E"])
    torch.testing.assert_close(read.images, lenses.test.simulator.render(scene), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_one_galaxy_is_on_one_side(stamps: Path) -> None:
    for path in sorted(stamps.iterdir())[1:]:
        path.unlink()
    drawn = simulator(stamps, cosmos_fraction=1.0, merger_fraction=0.0)
    with pytest.raises(LenskitError, match="only 0 of .* have sources that are not on the other side"):
        simulated_split(drawn, 12, 12, 0)


def test_stored_lenses_are_split_by_lens(run: Run, images: Path) -> None:
    lenses = stored_split(open_dataset(str(images), size=16), 100, 100, 0)
    split = lenses.embed({"blobs": run.encoder()})["blobs"]
    assert (len(split.train), len(split.test)) == (9, 3)
    assert not set(split.train.names) & set(split.test.names)
    assert sorted([*split.train.names, *split.test.names]) == [f"blob{number:02}" for number in range(12)]
    features, known = run.embed(str(images))
    for rows in (split.train, split.test):
        np.testing.assert_allclose(rows.features, features[rows.lens], atol=1e-5)
        np.testing.assert_array_equal(rows.values["width"], known["width"][rows.lens])


class Judge(OnLenses):
    """Evaluation that returns its splits."""

    def __call__(self, runs, inputs=()):
        return self.splits(runs)


def test_options_that_would_do_nothing_are_refused() -> None:
    rows = Embeddings(np.ones((20, 2)), {"a": np.arange(20)})
    for options, flag in (({"data": "x"}, "--data"), ({"simulator": "x"}, "--simulator"), ({"set": ["a=1"]}, "--set")):
        with pytest.raises(UsageError, match=f"{flag} is for runs"):
            Judge(**options)([rows])
    with pytest.raises(UsageError, match="two sources of lenses"):
        Judge(data="x", set=["a=1"])


def test_what_is_given_twice_is_not_judged_once() -> None:
    rows = [Embeddings(np.ones((20, 2)), path=path) for path in ("a.npz", "a.npz", "b.npz")]
    assert list(labelled(rows[1:])) == ["a", "b"]
    with pytest.raises(UsageError, match=r"a\.npz is given twice; give embeddings .* different values of path="):
        labelled(rows)


def test_one_run_by_two_paths_is_given_twice(tmp_path: Path) -> None:
    config = Config.resolve({"simulator": {"name": "blobs"}, "method": {"name": "restless"}})
    run = Run.create(tmp_path / "a", config)
    (tmp_path / "link").symlink_to(run.path)
    with pytest.raises(UsageError, match=r"a is given twice: leave one out"):
        labelled([run, Run(run.path)])
    with pytest.raises(UsageError, match=r"link is given twice, also as .*a: leave one out"):
        labelled([run, Run(tmp_path / "link")])
