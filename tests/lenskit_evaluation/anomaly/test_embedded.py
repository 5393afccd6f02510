"""Anomaly scores of embeddings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

import lenskit
from lenskit.cli.main import run as command
from lenskit.errors import LenskitError
from lenskit.evaluation import Embeddings
from lenskit.plugin import Parameter, UsageError
from lenskit.run import Run
from lenskit_evaluation.anomaly.embedded import judge_embeddings
from lenskit_evaluation.anomaly.evaluation import Anomaly

CLASS = Parameter("kind", classes=("none", "vortex"))


def features(n: int = 200, seed: int = 0, shift: float = 1.0, **more: Any) -> Embeddings:
    """Return features of two alternating classes, with different mean directions."""
    rng = np.random.default_rng(seed)
    kind = np.arange(n) % 2
    x = rng.normal(size=(n, 4)) * 0.3 + np.stack([np.ones(n), shift * kind, np.zeros(n), np.zeros(n)], 1)
    values = {"kind": kind, **more.pop("values", {})}
    parameters = [CLASS, *more.pop("parameters", ())]
    return Embeddings(x.astype(np.float32), values, parameters=parameters, path=more.pop("path", "mine.npz"), **more)


def unit(x: Any) -> np.ndarray:
    return np.asarray(x) / np.linalg.norm(x, axis=1, keepdims=True)


def test_images_are_compared_with_a_reference(tmp_path: Path) -> None:
    known, judged = features(80, seed=1), features(path="judged.npz")
    known.save(tmp_path / "known.npz")
    truth, scored = judge_embeddings([judged], Anomaly(reference=str(tmp_path / "known.npz"), neighbours=3).options)
    assert (truth.normal, truth.parameter, len(truth.label)) == ("none", "kind", 200)
    normal = unit(known.features)[::2]
    distances = np.linalg.norm(unit(judged.features)[:, None] - normal[None], axis=2)
    assert scored["judged"].scores == pytest.approx(np.sort(distances, 1)[:, 2], abs=1e-5)
    assert (scored["judged"].training_lenses, scored["judged"].images_per_second) == (40, None)


def test_without_one_half_of_the_normal_lenses_is_compared_with() -> None:
    """All views of a lens are on the same side."""
    lens = np.arange(200) // 4 * 2 + np.arange(200) % 2
    truth, scored = judge_embeddings([features(lens=lens)], Anomaly(normal="none").options)
    assert scored["mine"].training_lenses == 50
    assert (np.sum(truth.label == 0), np.sum(truth.label == 1)) == (50, 100)
    shown = {int(lens[int(name)]) for name, label in zip(truth.names, truth.label, strict=True) if label == 0}
    assert len(shown) == 25
    again, same = judge_embeddings([features(lens=lens)], Anomaly(normal="none").options)
    assert np.array_equal(same["mine"].scores, scored["mine"].scores)
    assert again.names == truth.names


def test_sides_show_different_galaxies() -> None:
    stamp = np.random.default_rng(0).integers(40, size=400)
    parameters = [Parameter("stamp", identity=True)]
    mine = features(400, values={"stamp": stamp}, parameters=parameters)
    truth, _ = judge_embeddings([mine], Anomaly(normal="none").options)
    judged = {int(stamp[int(name)]) for name in truth.names}
    assert judged <= set(range(0, 40, 4))


@pytest.mark.slow
def test_what_is_written_and_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    features().save("a.npz")
    features(shift=0.0).save("b.npz")
    assert command(["anomaly", "a.npz", "b.npz", "--normal", "none"]) == 0
    stored = json.loads(Path("a.npz-evaluations/anomaly/results.json").read_text())
    assert stored["title"].startswith("Anomalies of a, b: 50 none against 100 vortex")
    assert [*stored["detectors"]] == ["a", "b"]
    assert stored["detectors"]["a"]["figures"]["vortex"]["auc"]["value"] > 0.8
    assert "distance in features" in capsys.readouterr().out
    found = lenskit.evaluate("anomaly", Embeddings.load("a.npz"), resamples=100)
    scores = found.detectors["a"].scored.scores
    strange = found.truth.label == 1
    area = mannwhitneyu(scores[strange], scores[~strange]).statistic / (strange.sum() * (~strange).sum())
    assert found.detectors["a"].together.auc.value == pytest.approx(area, abs=1e-12)


def test_what_cannot_be_judged_is_said_in_one_line(tmp_path: Path) -> None:
    def judged(*subjects: Embeddings, **said: Any) -> None:
        judge_embeddings(subjects, Anomaly(**said).options)

    about = {"encoder": {"method": "simsiam"}, "images": {"path": "a"}}
    wide = Embeddings(np.ones((9, 5)), {"kind": np.zeros(9)}, parameters=[CLASS])
    wide.save(tmp_path / "wide.npz")
    features(about=about).save(tmp_path / "same.npz")
    features(about={"encoder": {"method": "byol"}}).save(tmp_path / "byol.npz")
    plain = Embeddings(np.ones((9, 5)))
    one = Embeddings(np.eye(9), {"kind": np.arange(9) > 0}, parameters=[CLASS])
    none = Embeddings(np.eye(9), {"kind": np.ones(9)}, parameters=[CLASS])
    mine, other = features(about=about), features(100, path="other.npz")
    cases: list[tuple[tuple[Embeddings, ...], dict[str, Any], str]] = [
        ((plain,), {}, "these images have no class label: .* example from `lenskit embed RUN --data FOLDER`"),
        ((mine,), {"data": "images"}, "--data is for runs: embeddings have their own images"),
        ((mine, other), {}, "mine and other hold features of different images"),
        ((one,), {}, r"holds 1 lenses of the class none, .* with --reference"),
        ((none,), {"normal": "none"}, r"holds 0 lenses of the class none"),
        ((mine,), {"normal": "vortx"}, r"did you mean vortex\?"),
        ((mine,), {"neighbours": 1000}, "--neighbours 1000 is more than the 50 training lenses"),
        ((mine,), {"reference": str(tmp_path / "wide.npz")}, "wide.npz has 5 features per image, mine has 4"),
        ((mine,), {"reference": str(tmp_path / "byol.npz")}, "byol.npz and mine are by different encoders"),
        ((mine,), {"reference": str(tmp_path / "same.npz")}, "same.npz and mine have the same images"),
        ((mine, features(path="b.npz")), {"reference": "known.npz"}, "evaluate mine and b with one command each"),
    ]
    for subjects, said, complaint in cases:
        with pytest.raises(LenskitError, match=complaint) as error:
            judged(*subjects, **said)
        assert "\n" not in str(error.value)


def test_runs_and_embeddings_are_judged_apart(linear: Run) -> None:
    with pytest.raises(UsageError, match=r"is a run and mine.npz holds embeddings: evaluate them with one"):
        Anomaly()([linear, features()])
    with pytest.raises(UsageError, match="--reference is for embeddings: a run is compared with"):
        Anomaly(reference="known.npz")([linear])
    with pytest.raises(UsageError, match="--reference is for embeddings, and --scores"):
        Anomaly(reference="known.npz", scores="scores.csv")


def test_a_flattering_reference_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    features().save(tmp_path / "known.npz")
    judge_embeddings([features()], Anomaly(reference=str(tmp_path / "known.npz")).options)
    assert "at least 100 of the 200 images have the same features as an image of the reference" in caplog.text
