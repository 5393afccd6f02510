"""Faults in the code of a plugin are one line on the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lenskit.blame import fault_of_plugin

HOOKS = """
@hookimpl
def lenskit_simulators():
    return [Component("stars", "acme_stars:Stars", "Stars")]


@hookimpl
def lenskit_evaluations():
    return [Component("judge", "acme_stars:Judge", "A verdict")]
"""

STARS = """
import torch
from lenskit.plugin import Evaluation, Parameter, Simulator


class Stars(Simulator):
    groups = ("lens",)
    parameters = (Parameter("x"),)
    image_shape = (1, 8, 8)

    def draw(self, group, rng, scene):
        return {"x": rng.uniform("x"), "number": rng.index}

    def render(self, scene, omit=()):
        images = scene["x"][:, None, None, None].expand(-1, 1, 8, 8).clone()
        BODY
        return images


class Judge(Evaluation):
    def __call__(self, runs, inputs=()):
        return {}["verdict"]
"""

TRAIN = (
    "train", "--simulator", "stars", "--backbone", "tiny", "--method", "restless", "--lenses", 64, "--epochs", 1,
    "--batch-size", 32, "--out", "run",
)  # fmt: skip


def test_an_error_in_a_simulator(install: Callable[..., None], lenskit: Callable[..., Any]) -> None:
    install("acme", HOOKS, acme_stars=STARS.replace("BODY", "scene['flux']"))
    assert lenskit(*TRAIN).complaint(1) == (
        "simulator 'stars' of lenskit-ssl-acme 1.0 failed: KeyError: 'flux' (acme_stars, line 16); "
        "set LENSKIT_STRICT=1 to see the traceback"
    )


def test_an_error_in_an_evaluation(install: Callable[..., None], lenskit: Callable[..., Any], run: Any) -> None:
    install("acme", HOOKS, acme_stars=STARS)
    assert lenskit("judge", run.path).complaint(1) == (
        "evaluation 'judge' of lenskit-ssl-acme 1.0 failed: KeyError: 'verdict' (acme_stars, line 22); "
        "set LENSKIT_STRICT=1 to see the traceback"
    )


def test_strict_shows_the_traceback(
    install: Callable[..., None], lenskit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme", HOOKS, acme_stars=STARS.replace("BODY", "scene['flux']"))
    monkeypatch.setenv("LENSKIT_STRICT", "1")
    with pytest.raises(KeyError):
        lenskit(*TRAIN)


def test_a_fault_of_ours_blames_no_plugin() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        1 / 0  # noqa: B018
    assert fault_of_plugin(caught.value) is None


def test_images_that_are_not_finite_are_not_blamed_on_the_learning_rate(
    install: Callable[..., None], lenskit: Callable[..., Any]
) -> None:
    install("acme", HOOKS, acme_stars=STARS.replace("BODY", "images[scene['number'] == 40] = torch.nan"))
    outcome = lenskit(*TRAIN)
    assert outcome.status == 1
    assert (
        "the loss of batch 1 (epoch 0) is not finite: simulator 'stars' of lenskit-ssl-acme 1.0 gives NaN or infinite "
        "pixels for lens 40, batch 1; there is no checkpoint yet"
    ) in outcome.err
    assert "--lr" not in outcome.err.splitlines()[-1]
