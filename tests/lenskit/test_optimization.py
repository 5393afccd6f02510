"""Optimisers compared with torch and lightly, and weights without decay."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from lightly.utils.lars import LARS
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from lenskit.errors import LenskitError
from lenskit.optimization import check_groups, describe, make_optimizer, scaled_lr
from lenskit.settings import OptimizerSettings


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 5))


def learn(model: nn.Module, optimizer: Optimizer, steps: int = 5) -> dict[str, torch.Tensor]:
    images = torch.randn(8, 2, 5, 5, generator=torch.Generator().manual_seed(1))
    for _ in range(steps):
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()
    return model.state_dict()


REFERENCES = {
    "sgd": lambda groups, s: SGD(groups, s.lr * 400 / 256, momentum=s.momentum),
    "lars": lambda groups, s: LARS(groups, s.lr * 400 / 256, momentum=s.momentum),
    "adamw": lambda groups, s: AdamW(groups, s.lr * 400 / 256, betas=s.betas),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_takes_the_steps_of_torch_and_lightly(name: Any) -> None:
    """Decayed and other weights are two groups, at the rate of a batch of 400."""
    settings = OptimizerSettings(name=name, lr=0.1, weight_decay=0.05, momentum=0.8, betas=(0.7, 0.9))
    ours, theirs = network(), network()
    decayed, kept = [theirs[0].weight, theirs[3].weight], [theirs[0].bias, *theirs[1].parameters(), theirs[3].bias]
    groups = [{"params": decayed, "weight_decay": 0.05}, {"params": kept, "weight_decay": 0.0}]
    expected = learn(theirs, REFERENCES[name](groups, settings))
    for key, value in learn(ours, make_optimizer([{"modules": [ours]}], settings, 400)).items():
        torch.testing.assert_close(value, expected[key], rtol=1e-5, atol=1e-6)


def decays(model: nn.Module, **settings: Any) -> dict[str, float]:
    """The weight decay of each parameter, by its name."""
    optimizer = make_optimizer([{"modules": [model]}], OptimizerSettings(weight_decay=0.5, **settings), 256)
    of = {p: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    return {name: of[parameter] for name, parameter in model.named_parameters() if parameter in of}


@pytest.mark.parametrize("name", REFERENCES)
def test_weights_decay_but_not_norms_and_biases(name: str) -> None:
    assert decays(network(), name=name) == {
        "0.weight": 0.5, "0.bias": 0.0, "1.weight": 0.0, "1.bias": 0.0, "3.weight": 0.5, "3.bias": 0.0,
    }  # fmt: skip
    assert set(decays(network(), name=name, decay_all=True).values()) == {0.5}


def test_tokens_and_position_embeddings_of_transformers_do_not_decay() -> None:
    model = nn.Sequential(timm.create_model("vit_tiny_patch16_224", img_size=32, num_classes=0, reg_tokens=1, depth=1))
    found = decays(model)
    assert {name for name, decay in found.items() if decay} == {
        "0.patch_embed.proj.weight", "0.blocks.0.attn.qkv.weight", "0.blocks.0.attn.proj.weight",
        "0.blocks.0.mlp.fc1.weight", "0.blocks.0.mlp.fc2.weight",
    }  # fmt: skip
    assert {"0.pos_embed", "0.cls_token", "0.reg_token"} < found.keys()


def test_what_a_network_says_should_not_decay_does_not() -> None:
    """Parameters in a network's no-decay list do not decay.

    The list of timm's Swin contains the tables, although these have two dimensions like weights that decay.
    """
    model = timm.create_model("swin_tiny_patch4_window7_224", img_size=32, num_classes=0, depths=(1,), num_heads=(1,))
    tables = {name: decay for name, decay in decays(model).items() if "relative_position_bias_table" in name}
    assert set(tables.values()) == {0.0}
    assert all(model.get_parameter(name).ndim == 2 for name in tables)


def test_what_is_not_trained_is_left_out() -> None:
    model = network()
    model[0].requires_grad_(False)
    assert decays(model).keys() == {"1.weight", "1.bias", "3.weight", "3.bias"}


def test_groups_keep_what_the_method_says_of_them() -> None:
    model = network()
    groups = [{"modules": [model[0]]}, {"modules": [model[1], model[3]], "constant_lr": True, "warmup_epochs": 2}]
    optimizer = make_optimizer(groups, OptimizerSettings(warmup_epochs=7), 256)
    said = [(g.get("constant_lr"), g["warmup_epochs"], len(g["params"])) for g in optimizer.param_groups]
    assert said == [(None, 7, 1), (None, 7, 1), (True, 2, 1), (True, 2, 3)]


# --- The rate ---


def test_the_rate_is_in_proportion_to_the_batch() -> None:
    """0.03 x 400 / 256, as LenSiam has it; or as it is given."""
    assert scaled_lr(OptimizerSettings(), 400) == pytest.approx(0.046875)
    assert scaled_lr(OptimizerSettings(lr_batch=0), 400) == 0.03


def test_the_rate_is_told_with_how_it_comes_about() -> None:
    assert describe(OptimizerSettings(), 400, 100) == (
        "lr 0.0469 = 0.03 x 400 / 256, sgd, momentum 0.9, weight decay 0.0001, 10 epochs of warm-up"
    )
    settings = OptimizerSettings(name="adamw", lr=1e-4, lr_batch=0, decay_all=True, clip=3, warmup_epochs=0.5)
    assert describe(settings, 400, 100) == (
        "lr 0.0001, adamw, betas 0.9 0.999, weight decay 0.0001 of all weights, 0.5 epochs of warm-up, "
        "gradients clipped at 3"
    )
    # As Method.learning_rate has it.
    assert describe(OptimizerSettings(), 256, 4).endswith(", 2 epochs of warm-up (half of the run; 10 asked for)")


# --- Parameters in no group, or in two ---


def test_every_parameter_belongs_in_one_group() -> None:
    model = network()
    check_groups(model, [{"modules": [model]}])
    check_groups(model, [{"modules": [model[0], model[0]]}, {"modules": [model[1], model[3]]}])
    with pytest.raises(LenskitError, match=r"Sequential has the parameter 1.weight in no group: put each"):
        check_groups(model, [{"modules": [model[0], model[3]]}])
    with pytest.raises(LenskitError, match=r"Sequential has the parameter 3.weight in 2 groups: put each"):
        check_groups(model, [{"modules": [model]}, {"modules": [model[3]]}])
    model[1].requires_grad_(False)
    check_groups(model, [{"modules": [model[0], model[3]]}])


def test_weights_that_two_modules_share_are_changed_once() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    groups = [{"modules": [model[0], model[1]]}]
    check_groups(model, groups)
    optimizer = make_optimizer(groups, OptimizerSettings(), 256)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 3
