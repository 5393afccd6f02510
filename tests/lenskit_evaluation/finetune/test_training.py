"""Trained parts of a backbone, early stopping and losses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from lenskit.encoder import Encoder
from lenskit.errors import LenskitError
from lenskit.plugin import Parameter
from lenskit.preprocessing.preprocess import Preprocess
from lenskit_evaluation.finetune.data import orient
from lenskit_evaluation.finetune.model import FineTuned
from lenskit_evaluation.finetune.training import Recipe, fit, trained_parts
from lenskit_toys.components import Tiny

WIDTH = Parameter("width", "arcsec")
RECIPE = Recipe("full", epochs=40, patience=4, batch_size=16, lr=0.03, backbone_lr=0.01, augment=False)


def model(*targets: Parameter) -> FineTuned:
    torch.manual_seed(0)
    return FineTuned(Encoder(Tiny(1, 16), Preprocess("linear"), (1, 16, 16), {}), targets or [WIDTH])


def noise(n: int = 60) -> tuple[Tensor, Tensor]:
    """Return images of noise with independent labels."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 1, 16, 16, generator=generator), torch.rand(1, n, 1, generator=generator)


def children(network: nn.Module, parts: list[nn.Module]) -> list[str]:
    names = {id(part): name for name, part in network.named_modules()}
    return [names[id(part)] for part in parts]


@pytest.mark.parametrize("depth", [18, 50, 101, 152])
def test_the_last_stage_of_a_resnet_is_layer4(depth: int) -> None:
    with torch.device("meta"):
        network = get_model(f"resnet{depth}")
    network.fc = nn.Identity()
    assert children(network, trained_parts(network, "partial")) == ["layer4"]
    wrapped = nn.Sequential(network)
    assert children(wrapped, trained_parts(wrapped, "partial")) == ["0.layer4"]


def test_the_last_stages_of_other_networks() -> None:
    with torch.device("meta"):
        vit = timm.create_model("vit_tiny_patch16_224", num_classes=0)
        convnext = timm.create_model("convnext_atto", num_classes=0)
    blocks = [f"blocks.{number}" for number in (11, 10, 9, 8)]
    assert children(vit, trained_parts(vit, "partial")) == ["norm", *blocks]
    assert "stages.3" in children(convnext, trained_parts(convnext, "partial"))
    assert not any("stages.2" in name for name in children(convnext, trained_parts(convnext, "partial")))
    assert trained_parts(vit, "frozen") == []
    assert trained_parts(vit, "full") == [vit]


def test_partial_training_leaves_the_rest_alone() -> None:
    tuned = model()
    before = {name: value.clone() for name, value in tuned.encoder.backbone.state_dict().items()}
    images, labels = noise()
    fit(tuned, images, labels, np.arange(40), np.arange(40, 60), replace(RECIPE, freeze="partial", epochs=2), 0)
    after = tuned.encoder.backbone.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"body.3.weight", "body.3.bias"}  # the second convolution; the batch norm stays as it was


def test_stops_and_keeps_the_best() -> None:
    tuned = model()
    images, labels = noise()
    train, validation = np.arange(40), np.arange(40, 60)
    history = fit(tuned, images, labels, train, validation, RECIPE, 0)
    assert history.best == 1 + int(np.argmin(history.validation))
    # Training only overfits the 40 images, so that it ends early.
    assert len(history.validation) == history.best + RECIPE.patience < RECIPE.epochs
    predicted = torch.from_numpy(tuned.predict([images[validation]]).values["width"])
    truth = labels[0, :, 0].double()
    loss = ((predicted - truth[validation]) / truth[train].std(correction=0)).square().mean()
    assert float(loss) == pytest.approx(min(history.validation), rel=1e-4)
    assert history.validation[-1] > min(history.validation)


def test_a_frozen_backbone_is_asked_once_and_gives_the_same() -> None:
    images, labels = noise()
    labels = labels.expand(8, -1, -1)
    recipe = replace(RECIPE, freeze="frozen", epochs=3, augment=True)
    tuned = model()
    history = fit(tuned, images, labels, np.arange(40), np.arange(40, 60), recipe, 0)
    asked = model()
    asked.standardise(torch.from_numpy(asked.predict([images[:40]]).features).float(), labels[:, :40].flatten(0, 1))
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(40, generator=generator).tensor_split(3)[0]
    turn = torch.randint(8, (len(order),), generator=generator)
    before = asked.loss(asked(orient(images[order], turn)), labels[turn, order])
    # The head starts at zero, so that the loss of the first batch is the loss of the mean label.
    z = (labels[0, order, 0] - labels[0, :40, 0].mean()) / labels[0, :40, 0].std(correction=0)
    assert float(before) == pytest.approx(float(z.square().mean()), rel=1e-5)
    assert len(history.train) == 3


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    images, labels = noise()
    with pytest.raises(LenskitError, match="the loss of epoch 1 is not finite: use a smaller --lr"):
        fit(model(), images, labels, np.arange(40), np.arange(40, 60), replace(RECIPE, lr=1e30), 0)


@pytest.mark.slow
def test_classes_and_numbers_are_learned_together() -> None:
    generator = torch.Generator().manual_seed(0)
    bright = torch.randint(3, (120,), generator=generator)
    images = torch.randn(120, 1, 16, 16, generator=generator) + 2 * bright[:, None, None, None]
    labels = torch.stack([bright.float(), 5 + bright.float()], 1)[None]
    tuned = model(Parameter("kind", classes=("a", "b", "c")), WIDTH)
    fit(tuned, images, labels, np.arange(90), np.arange(90, 120), RECIPE, 0)
    found = tuned.predict([images]).values
    assert found["kind"].shape == (120, 3)
    np.testing.assert_allclose(found["kind"].sum(1), 1)
    assert np.mean(found["kind"].argmax(1) == bright.numpy()) > 0.9
    assert np.corrcoef(found["width"], bright.numpy())[0, 1] > 0.9
    assert found["width"].mean() == pytest.approx(6, abs=0.5)
