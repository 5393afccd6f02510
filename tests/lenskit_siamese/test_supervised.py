"""Supervised learning: predictions, their units, and left-out values."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lenskit.config import Config
from lenskit.plugin import Backbone, Batch, Parameter, UsageError
from lenskit.run import Run
from lenskit.store.plan import Plan
from lenskit.store.simulate import simulate
from lenskit.training.runner import Job
from lenskit_siamese.supervised import Supervised

NAN = math.nan
THETA_E, GAMMA = Parameter("theta_E", "arcsec", headline=True), Parameter("gamma")
KIND = Parameter("kind", classes=("ring", "quad", "double"))
VALUES = {
    "theta_E": torch.tensor([1.0, 2.0, 3.0, 4.0, NAN]),
    "gamma": torch.tensor([1.9, 2.1, 2.0, 2.2, 1.8]),
    "kind": torch.tensor([0.0, 1.0, 2.0, NAN, 1.0]),
}


class Flat(Backbone):
    """Features equal to the pixels."""

    features = 4

    def __init__(self) -> None:
        super().__init__(1, 2)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        return self.scale * images.flatten(1)


def supervised(*targets: str, parameters=(THETA_E, GAMMA, KIND), values=VALUES) -> Supervised:
    torch.manual_seed(0)
    method = Supervised(Flat(), targets=targets)
    method.prepare(parameters, lambda n: {name: value[:n] for name, value in values.items()})
    return method


def batch(values=VALUES) -> Batch:
    n = len(values["theta_E"])
    images = torch.randn(n, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    return Batch((images,), {name: value[:, None] for name, value in values.items()}, torch.arange(n))


def test_targets_are_the_headline_ones_or_else_all_that_are_continuous():
    assert supervised().continuous == ("theta_E",)
    assert supervised(parameters=(Parameter("theta_E"), GAMMA, KIND)).continuous == ("theta_E", "gamma")
    assert Supervised(Flat(), targets="gamma").targets == ("gamma",)
    method = supervised("kind", "gamma")
    assert (method.continuous, method.classes) == (("gamma",), {"kind": 3})
    assert method.head.out_features == 4


def test_parameters_are_in_units_of_their_spread_and_unknown_ones_left_out():
    method = supervised("theta_E", "gamma")
    torch.testing.assert_close(method.mean, torch.tensor([2.5, 2.0]))
    torch.testing.assert_close(method.std, torch.tensor([(5 / 3) ** 0.5, 0.025**0.5]))
    out = method.step(batch())
    predicted = method.head(method.backbone(batch().views[0]))
    error = predicted - (torch.stack([VALUES["theta_E"], VALUES["gamma"]], 1) - method.mean) / method.std
    expected = error[~error.isnan()].square().mean()
    assert error.isnan().sum() == 1
    torch.testing.assert_close(out["loss"], expected)
    torch.testing.assert_close(out["r2"], 1 - expected.detach())
    out["loss"].backward()
    assert all(parameter.grad.isfinite().all() for parameter in method.parameters())


def test_classes_are_told_by_cross_entropy():
    method = supervised("kind")
    out = method.step(batch())
    scores, known = method.head(method.backbone(batch().views[0])), [0, 1, 2, 4]
    labels = VALUES["kind"][known].long()
    torch.testing.assert_close(out["loss"], F.cross_entropy(scores[known], labels))
    assert out["accuracy"] == (scores[known].argmax(1) == labels).float().mean()
    assert "r2" not in out


def test_losses_of_parameters_and_classes_are_added():
    both = supervised("gamma", "kind")
    numbers, scores = both.head.weight.split([1, 3])
    alone = []
    for target, rows in (("gamma", numbers), ("kind", scores)):
        method = supervised(target)
        method.head.weight.data, method.head.bias.data = rows.data, both.head.bias.split([1, 3])[len(alone)].data
        alone.append(method.step(batch())["loss"])
    torch.testing.assert_close(both.step(batch())["loss"], alone[0] + alone[1])


def test_a_batch_of_which_nothing_is_known_teaches_nothing():
    method = supervised("theta_E", "kind")
    unknown = batch({name: torch.full_like(value, NAN) for name, value in VALUES.items()})
    out = method.step(unknown)
    out["loss"].backward()
    assert out["loss"] == 0
    assert not any(parameter.grad.any() for parameter in method.parameters())


def test_predictions_are_in_the_parameters_units():
    method = supervised("theta_E", "gamma", "kind")
    with torch.no_grad():
        method.head.weight.zero_()
        method.head.bias.copy_(torch.tensor([0.0, 1.0, 0.0, 0.0, 5.0]))
    predicted = method.predict(torch.zeros(2, 1, 2, 2))
    torch.testing.assert_close(predicted["theta_E"], torch.full((2,), 2.5))
    torch.testing.assert_close(predicted["gamma"], torch.full((2,), 2.0 + 0.025**0.5))
    assert predicted["kind"].tolist() == [2, 2]


def test_mean_and_spread_are_part_of_the_state():
    method = supervised("theta_E")
    other = supervised("theta_E", values=VALUES | {"theta_E": torch.arange(5.0)})
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.mean, method.mean)
    assert torch.equal(other.std, method.std)


def test_it_finds_what_is_linear():
    images = torch.randn(256, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    values = {"theta_E": 3 + images.flatten(1) @ torch.tensor([0.5, -1.0, 2.0, 0.0])}
    method = supervised(parameters=(THETA_E,), values=values)
    optimiser = torch.optim.SGD(method.parameters(), lr=0.1)
    lenses = Batch((images,), {"theta_E": values["theta_E"][:, None]}, torch.arange(256))
    for _ in range(100):
        out = method.step(lenses)
        optimiser.zero_grad()
        out["loss"].backward()
        optimiser.step()
    assert out["r2"] > 0.99
    torch.testing.assert_close(method.predict(images)["theta_E"], values["theta_E"], atol=0.3, rtol=0)


@pytest.mark.parametrize(
    ("targets", "values", "complaint"),
    [
        (("theta_e",), {}, "target 'theta_e' is not recorded for these lenses: did you mean theta_E?"),
        (("mass",), {}, "target 'mass' is not recorded .* recorded are theta_E, gamma, kind"),
        (("theta_E",), {"theta_E": torch.ones(5)}, "target 'theta_E' is the same for all of the first 5 lenses"),
        (("theta_E",), {"theta_E": torch.full((5,), NAN)}, "target 'theta_E' is known for none of the first 5"),
        (("kind",), {"kind": torch.full((5,), 3.0)}, "'kind' must hold numbers of its 3 classes, from 0 to 2"),
    ],
)
def test_what_cannot_be_learned_is_said_in_a_line(targets, values, complaint):
    with pytest.raises(UsageError, match=complaint):
        supervised(*targets, values=VALUES | values)


def test_lenses_of_which_nothing_is_recorded():
    with pytest.raises(UsageError, match="needs recorded parameters or classes, and these lenses have none"):
        supervised(parameters=())


def scored(*targets: str, normal: str | None = None, parameters=(THETA_E, GAMMA, KIND), values=VALUES) -> Supervised:
    torch.manual_seed(0)
    method = Supervised(Flat(), targets=targets, normal=normal)
    method.prepare(parameters, lambda n: values)
    return method


def test_probabilities_are_those_that_the_cross_entropy_is_of():
    method = scored("gamma", "kind")
    (images,) = batch().views
    probabilities = method.probabilities(images)
    assert probabilities.keys() == {"kind"}
    torch.testing.assert_close(probabilities["kind"].sum(1), torch.ones(5))
    labels = torch.tensor([0, 1, 2, 0, 1])
    scores = method.head(method.backbone(images))[:, 1:]
    torch.testing.assert_close(F.nll_loss(probabilities["kind"].log(), labels), F.cross_entropy(scores, labels))


@pytest.mark.parametrize(("normal", "number"), [(None, 0), ("ring", 0), ("double", 2)])
def test_strange_is_what_is_not_of_the_normal_class(normal, number):
    method = scored("theta_E", "kind", normal=normal)
    (images,) = batch().views
    torch.testing.assert_close(method.score(images), 1 - method.probabilities(images)["kind"][:, number])
    with torch.no_grad():  # images for which 1 - p rounds to 0 are ranked too
        method.head.weight[:, :] = 0
        method.head.weight[1 + number, 0] = 1
    images = torch.tensor([20.0, 21.0, 22.0]).view(3, 1, 1, 1).expand(3, 1, 2, 2)
    assert method.score(images).diff().max() < 0


def test_of_several_class_columns_the_one_with_the_normal_class_scores():
    other = Parameter("band", classes=("g", "normal"))
    method = scored("kind", "band", normal="normal", parameters=(KIND, other), values=VALUES | {"band": torch.ones(5)})
    (images,) = batch().views
    torch.testing.assert_close(method.score(images), 1 - method.probabilities(images)["band"][:, 1])


def test_without_a_class_column_there_is_no_score():
    method = scored("theta_E")
    (images,) = batch().views
    assert method.score(images) is None
    assert method.probabilities(images) == {}


@pytest.mark.parametrize(
    ("targets", "normal", "complaint"),
    [
        ("kind", "doubel", "no class 'doubel' for method.normal: did you mean double?"),
        ("kind", "xyz", "there are ring, quad, double"),
        ("gamma", "ring", "no class column is among the targets; name one with --set method.targets=NAME"),
    ],
)
def test_an_unknown_normal_class_is_refused(targets, normal, complaint):
    with pytest.raises(UsageError, match=complaint):
        scored(targets, normal=normal)


def test_a_run_is_asked_without_its_lenses_unless_it_is_an_old_one(tmp_path: Path) -> None:
    lenses = tmp_path / "lenses.zarr"
    marked = {"simulator": {"name": "marked"}, "pairs": {"name": "single"}}
    simulate(Plan.of(Config.resolve(marked, only=("simulator", "pairs")), lenses=16, chunk=8), lenses)
    config = Config.resolve({
        "train": {"epochs": 1, "batch_size": 8, "accelerator": "cpu"},
        "data": {"name": "zarr", "path": str(lenses)},
        "method": {"name": "supervised", "targets": ["width", "mark"]},
        "backbone": {"name": "tiny"},
    })  # fmt: skip
    job = Job(config)
    run = job.fit(Run.create(tmp_path / "run", config), None, False)
    images = torch.rand(4, 1, 16, 16)
    expected = job.method.eval().score(run.encoder().prepare(images))
    saved = torch.load(run.checkpoint, weights_only=True)

    away = lenses.rename(tmp_path / "away.zarr")
    before = torch.get_rng_state()
    torch.testing.assert_close(torch.from_numpy(run.score(images, device="cpu")[0]), expected.double())
    assert torch.equal(torch.get_rng_state(), before)
    predicted = run.method().predict(images)
    away.rename(lenses)
    assert predicted["width"].tolist() == job.method.predict(images)["width"].tolist()

    del saved["targets"]
    torch.save(saved, run.checkpoint)
    torch.testing.assert_close(torch.from_numpy(run.score(images, device="cpu")[0]), expected.double())
