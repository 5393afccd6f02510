"""Records in results.json: identity, settings, subjects and origin of the lenses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lenskit.api import evaluate
from lenskit.config import Config
from lenskit.errors import LenskitError
from lenskit.evaluation import Embeddings, Run, digest, write_results

FEW: dict[str, Any] = {"lenses": 20, "test_lenses": 10}


def results(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "results.json").read_text()))


def test_an_outcome_of_simulated_lenses(run: Run) -> None:
    evaluate("crowding", run, **FEW, seed=3)
    found = results(run.folder("crowding"))
    content = {name: value for name, value in found.items() if name != "id"}
    assert found["id"] == digest(content)
    assert found["settings"].items() >= {"lenses": 20, "test_lenses": 10, "seed": 3, "scale": 1.0, "data": None}.items()
    assert found["subjects"] == {"blobs": run.id}
    blobs = Config.resolve({"simulator": run.config.sections["simulator"]}).sections["simulator"]
    assert found["origin"] == {"simulator": "blobs@lenskit-ssl-toys", "options": digest(blobs), "seed": 3}


def test_the_digest_tells_options_of_a_simulator_apart(run: Run) -> None:
    origins = []
    for width in ("uniform(1, 2)", "uniform(1, 3)"):
        evaluate("crowding", run, **FEW, set=[f"width={width}"], overwrite=True)
        origins.append(results(run.folder("crowding"))["origin"])
    assert origins[0]["options"] != origins[1]["options"]
    assert origins[0]["simulator"] == origins[1]["simulator"]


@pytest.mark.slow
def test_an_outcome_of_stored_lenses(run: Run, images: Path) -> None:
    labels = images / "labels.csv"
    labels.write_text(labels.read_text().replace("width", "width_arcsec"))
    evaluate("transfer", run, data=f"{images}?columns.width=width_arcsec", lenses=50, test_lenses=50)
    origin = results(run.folder("transfer"))["origin"]
    fitted_to = origin.pop("fitted_to")
    assert origin == {"reader": "fits-folder", "path": str(images), "options": "?columns.width=width_arcsec"}
    assert (fitted_to["simulator"], fitted_to["seed"]) == ("blobs@lenskit-ssl-toys", 0)


def test_an_outcome_of_embeddings(tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(40, 3))
    mine = Embeddings(features, path=tmp_path / "mine.npz", about={"images": {"reader": "zarr", "path": "/a"}})
    evaluate("crowding", mine, **FEW)
    found = results(tmp_path / "mine.npz-evaluations" / "crowding")
    assert found["subjects"] == {"mine": mine.id}
    assert found["origin"] == {"embeddings": {"mine": {"reader": "zarr", "path": "/a"}}}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["random", "constant", "pixels"])
def test_a_run_with_the_name_of_a_baseline_is_called_by_its_path(run: Run, tmp_path: Path, name: str) -> None:
    named = Run(run.path.rename(tmp_path / name))
    evaluate("probe", named, **FEW, mlp=False, curves=False, controls=False, seeds=1)
    found = results(named.folder("probe"))
    assert found["subjects"] == {str(named.path): named.id}
    assert set(found["summary"]) == {str(named.path)}


def test_without_the_core_nobody_is_named(tmp_path: Path) -> None:
    write_results([tmp_path / "out"], title="Alone", settings={"seed": 1}, results={}, table=[{"a": 1}])
    found = results(tmp_path / "out")
    assert (found["settings"], found["subjects"], found["origin"]) == ({"seed": 1}, None, {})


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"table": "no table"}, "the evaluation: the table 'T' must be a list of dicts by column"),
        ({"table": [1, 2]}, "the evaluation: the table 'T' must be a list of dicts by column"),
        ({"more": {"Others": [["a"]]}}, "the evaluation: the table 'Others' must be a list of dicts"),
        ({"summary": ["R2"]}, "the evaluation: the summary must be a dict, got list"),
        ({"summary": {"a": 0.5}}, "the evaluation: the summary of a must be a dict, got float"),
        ({"summary": {"a": {"R2": "high"}}}, "the evaluation: R2 of a in the summary must be a number, got 'high'"),
        ({"pictures": {"map": b"PNG"}}, "the evaluation: the picture 'map' must be a matplotlib Figure"),
    ],
)
def test_results_that_no_report_could_show(wrong: dict[str, Any], says: str, tmp_path: Path) -> None:
    sound: dict[str, Any] = {"title": "T", "settings": {}, "results": {}, "table": [{"a": 1}]}
    with pytest.raises(LenskitError, match=re.escape(says)):
        write_results([tmp_path / "out"], **(sound | wrong))
    assert not (tmp_path / "out").exists()
