"""The probe: its figures in closed form, and that it does not change the run."""

from __future__ import annotations

import json
import math
import random
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from lenskit.encoder_card import read_card
from lenskit.errors import LenskitError
from lenskit.kinds.method import Budget
from lenskit.kinds.parameter import Parameter
from lenskit.run import Run
from lenskit.settings import MonitorSettings
from lenskit.training.probe import (
    alignment,
    batches_between,
    embed,
    judged,
    probe,
    read_off,
    score,
    undisturbed,
    uniformity,
)
from lenskit.training.probe_lenses import ProbeLenses, held_out
from lenskit.training.resume import resume
from lenskit.training.runner import Job, train

WIDTH = Parameter("width", headline=True)
PROBED = {"probe_every": 5, "probe_lenses": 128}


def normal(n: int, d: int, seed: int = 1) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def figures(run: Run) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]


def weights(run: Run) -> dict[str, Tensor]:
    return torch.load(run.checkpoint, weights_only=True)["state_dict"]


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- Figures ---


@given(st.floats(0, math.pi), st.floats(0.1, 10))
@settings(deadline=None, max_examples=30)
def test_alignment_of_views_at_an_angle(angle: float, length: float) -> None:
    """Chords of the unit circle, (2 sin(angle / 2))^2, for features of any length."""
    a = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    turn = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    expected = 4 * math.sin(angle / 2) ** 2
    assert float(alignment(a, length * a @ turn)) == pytest.approx(expected, abs=1e-5)


def test_uniformity_in_closed_form() -> None:
    """Two opposite points at distance 2; and all points in one place."""
    assert float(uniformity(torch.tensor([[3.0, 0.0], [-0.5, 0.0]]))) == pytest.approx(-8)
    assert float(uniformity(torch.ones(10, 4))) == pytest.approx(0, abs=1e-6)
    # Three axes: every pair at distance sqrt(2).
    assert float(uniformity(torch.eye(3))) == pytest.approx(-4)


def test_uniformity_of_directions_spread_evenly() -> None:
    """On a circle exp(-2 d^2) = exp(-4 + 4 cos), whose mean is exp(-4) I0(4)."""
    found = float(uniformity(normal(2000, 2)))
    assert found == pytest.approx(float(-4 + torch.special.i0(torch.tensor(4.0)).log()), abs=0.02)


def test_what_lies_on_a_line_is_read_off_and_noise_is_not() -> None:
    x = normal(400, 8).double().numpy()
    values = {"line": 3 * x[:, 0] - x[:, 5] + 7, "noise": normal(400, 1, 2)[:, 0].double().numpy()}
    found = read_off(x, values, [Parameter("line"), Parameter("noise")])
    assert found["r2/line"] == pytest.approx(1, abs=1e-6)
    assert found["r2/noise"] < 0.1


def test_r2_is_that_of_a_ridge_regression_on_the_same_lenses() -> None:
    """It equals scikit-learn's ridge regression for one of the penalties."""
    x = normal(400, 20).double().numpy()
    y = x[:, 0] + x[:, 1] ** 2 + 0.5 * normal(400, 1, 3)[:, 0].double().numpy()
    found = read_off(x, {"y": y}, [Parameter("y")])["r2/y"]
    rows = np.random.default_rng(0).permutation(400)
    fit, judge = rows[:300], rows[300:]
    mean, scale = x[fit].mean(0), x[fit].std(0)
    standard = (x - mean) / scale
    scores = [
        Ridge(alpha=300 * penalty).fit(standard[fit], y[fit]).score(standard[judge], y[judge])
        for penalty in np.logspace(-6, 3, 10)
    ]
    assert any(found == pytest.approx(each, rel=1e-6) for each in scores)


def test_a_class_is_judged_by_its_accuracy() -> None:
    x = normal(400, 4).double().numpy()
    parameters = [Parameter("side", classes=("left", "right")), Parameter("coin", classes=("a", "b"))]
    values = {"side": (x[:, 1] > 0).astype(float), "coin": np.arange(400) % 2.0}
    found = read_off(x, values, parameters)
    assert set(found) == {"accuracy/side", "accuracy/coin"}
    assert found["accuracy/side"] > 0.9
    assert 0.3 < found["accuracy/coin"] < 0.7


def test_lenses_of_which_a_parameter_is_not_known_are_left_out() -> None:
    x = normal(400, 4).double().numpy()
    part, few, constant = x[:, 0].copy(), np.full(400, np.nan), np.ones(400)
    part[::3], few[:10] = np.nan, 1
    values = {"part": part, "few": few, "constant": constant}
    assert read_off(x, values, [Parameter(name) for name in values]) == {"r2/part": pytest.approx(1, abs=1e-6)}


def test_the_score_is_the_mean_of_the_headline_parameters() -> None:
    a, b, c = Parameter("a", headline=True), Parameter("b", headline=True), Parameter("c")
    found = {"r2/a": 0.5, "r2/b": 0.1, "r2/c": 0.9}
    assert score(found, [a, b, c]) == pytest.approx(0.3)
    assert score(found, [c]) == 0.9
    assert score({}, [a]) is None


def test_what_is_judged(toys) -> None:
    """Headline parameters and shared groups.

    For pairs of one image, the groups of the headline parameters count as shared.
    """
    x = Parameter("x", group="source")
    width, y = Parameter("width", headline=True), Parameter("y")
    assert judged((width, y, x), toys().build("pairs")) == [width, y]
    assert judged((width, y, x), toys(pairs={"name": "default"}).build("pairs")) == [width, y]


# --- Not disturbing ---


def test_a_probe_leaves_the_network_and_the_random_numbers_alone() -> None:
    network = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 4))
    network[1].eval()  # frozen, as a method may do
    before = {name: value.clone() for name, value in network.state_dict().items()}
    lenses = ProbeLenses(
        normal(64, 3), (normal(64, 3), normal(64, 3, 2)), {"width": normal(64, 1)[:, 0].double()}, (), False
    )
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    expected = torch.rand(1), random.random(), np.random.rand()
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)
    first = probe(network, lenses, [WIDTH])
    assert (torch.rand(1), random.random(), np.random.rand()) == expected
    assert same(network.state_dict(), before)
    assert [part.training for part in network] == [True, False, True, True]
    assert probe(network, lenses, [WIDTH]) == first  # without dropout
    assert set(first) == {"probe", "r2/width", "probe_rank", "alignment", "uniformity"}


def test_features_that_overflow_give_no_figures() -> None:
    network = nn.Linear(3, 4)
    nn.init.constant_(network.weight, math.inf)
    assert probe(network, ProbeLenses(normal(64, 3), (), {}, (), False), []) == {}


def test_undisturbed_gives_back_also_after_an_error() -> None:
    network = nn.Dropout()
    network.weight = nn.Parameter(torch.ones(1))
    seen = []
    with suppress(KeyError), undisturbed(network):
        seen.append(network.training)
        raise KeyError
    assert (seen, network.training) == ([False], True)


@pytest.fixture(scope="module")
def probed(toys, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(toys(monitor=PROBED), tmp_path_factory.mktemp("probed") / "run", progress=False)


@pytest.mark.slow
def test_a_run_ends_with_the_same_weights_with_probes_and_without(toys, probed: Run, tmp_path: Path) -> None:
    plain = train(toys(), tmp_path / "plain", progress=False)
    assert same(weights(plain), weights(probed))
    assert not (plain.path / "best").exists()
    losses = [line["loss"] for line in figures(probed) if "loss" in line]
    assert losses == [line["loss"] for line in figures(plain)]


def test_it_probes_every_few_batches_and_at_the_end(probed: Run) -> None:
    lines = [line for line in figures(probed) if "probe" in line]
    assert [line["batches"] for line in lines] == [5, 10, 15, 20, 24]
    for line in lines:
        assert line["probe"] == line["r2/width"]
        assert {"probe_rank", "alignment", "uniformity", "epoch"} <= line.keys()
    assert "width 0." in (probed.path / "train.log").read_text()


def test_the_best_encoder_is_kept(probed: Run, toys) -> None:
    lines = [line for line in figures(probed) if "probe" in line]
    best = max(lines, key=lambda line: line["probe"])
    card = read_card(probed.path / "best")
    assert card["trained"] == {"batches": best["batches"], "of": 24}
    assert card["probe"]["score"] == best["probe"]
    # The encoder in `best/` has the figures in its card.
    encoder = probed.encoder("best")
    lenses = held_out(Job(toys()).training_set, 128)
    assert probe(encoder.backbone, lenses, [WIDTH])["probe"] == pytest.approx(best["probe"], abs=1e-6)
    assert read_card(probed.path / "encoder")["trained"]["batches"] == 24


def test_the_best_encoder_is_opened_as_a_run_of_its_own(probed: Run) -> None:
    best = Run(probed.path / "best")
    assert best.path == probed.path
    assert best.name == "run-best"
    assert best.config == probed.config
    assert best.folder("probe") == probed.path / "evaluations" / "best" / "probe"
    assert same(best.encoder().state_dict(), probed.encoder("best").state_dict())
    assert same(best.encoder("last").state_dict(), probed.encoder().state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("batch", [10, 12])
def test_a_run_that_is_stopped_and_resumed_is_the_same_run(
    toys, probed: Run, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOYS_SIGNAL", f"SIGINT+SIGINT:{batch}")
    with pytest.raises(KeyboardInterrupt):
        train(toys(monitor=PROBED), tmp_path / "run", progress=False)
    monkeypatch.delenv("TOYS_SIGNAL")
    run = resume(tmp_path / "run", progress=False)
    assert same(weights(run), weights(probed))
    assert same(run.encoder("best").state_dict(), probed.encoder("best").state_dict())
    assert read_card(run.path / "best") == read_card(probed.path / "best")
    assert [line for line in figures(run) if "probe" in line] == [line for line in figures(probed) if "probe" in line]


@pytest.mark.slow
def test_a_weight_that_is_not_finite_is_said_before_it_is_probed(toys, tmp_path: Path) -> None:
    config = toys(method={"name": "exploding", "at": 4, "silently": True}, monitor={"probe_every": 5})
    with pytest.raises(LenskitError, match="a weight after batch 4"):
        train(config, tmp_path / "run", progress=False)


@pytest.mark.parametrize(
    ("said", "batches", "expected"),
    [
        (None, 24, 0),  # too short
        (None, 160, 160),  # 1024 * 10 / 64
        (None, 1000, 160),
        (None, 8000, 400),  # a twentieth
        (0, 8000, 0),
        (7, 24, 7),
    ],
)
def test_how_often(said: int | None, batches: int, expected: int) -> None:
    budget = Budget(batch_size=64, batches_per_epoch=1, epochs=batches)
    assert batches_between(MonitorSettings(probe_every=said), budget) == expected


def test_embedding_in_parts_is_embedding(toys) -> None:
    job = Job(toys())
    lenses = held_out(job.training_set, 64)
    with undisturbed(job.encoder.backbone):
        whole, parts = (embed(job.encoder.backbone, lenses.images, chunk) for chunk in (64, 10))
    assert torch.allclose(whole, parts, atol=1e-6)
