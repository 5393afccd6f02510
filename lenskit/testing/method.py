"""Contract of methods.

The loss trains the backbone. Neither interruptions nor the number of processes change the result.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar, cast
from unittest import SkipTest

import pytorch_lightning as pl
import torch
from torch import Tensor

from lenskit.api import resume
from lenskit.config import Config
from lenskit.contracts.method import check_answer, check_gradient
from lenskit.errors import UsageError
from lenskit.kinds.method import Predictor, Reconstructor, Scorer
from lenskit.kinds.outputs import check_outputs
from lenskit.registry import registry
from lenskit.run import Run
from lenskit.testing.contract import ClassContract, temporary_folder
from lenskit.testing.processes import gradients_of_one, gradients_of_two
from lenskit.training.runner import Job

LENSES = 8
"""Lenses a batch."""

BATCHES = 4
"""Batches of the trainings."""


class MethodContract(ClassContract):
    """Tests of a method.

    The method is trained on simulated images of 32 pixels, with the components that `lenskit train --method NAME`
    selects.

    ```python
    class TestMine(MethodContract):
        component = "mine"
        options = {"projection_dim": 16}
    ```
    """

    kind = "method"

    sections: ClassVar[Mapping[str, Mapping[str, Any]]] = MappingProxyType({"simulator": {"pixels": 32}})
    """Other sections of the configuration, such as `{"backbone": {"name": "resnet18"}}`."""

    def config(self, **train: Any) -> Config:
        """Return the configuration of a short training.

        Args:
            train: Options of the section `train`.
        """
        settings = {"lenses": LENSES * BATCHES, "epochs": 1, "batch_size": LENSES, "checkpoint_every": 1}
        return Config.resolve(
            {name: dict(section) for name, section in self.sections.items()},
            {
                "train": {**settings, "accelerator": "cpu", **train},
                "monitor": {"probe_every": 0},
                "method": {"name": self.component, **self.required, **self.options},
            },
        )

    def job(self) -> Job:
        """Return the built components of a training."""
        with self.rules_of_lenskit():
            return Job(self.config())

    def test_it_trains_without_further_options(self) -> None:
        with self.rules_of_lenskit():
            Job(Config.resolve({"method": {"name": self.component, **self.required}}))

    def test_a_step_returns_a_finite_loss(self) -> None:
        job = self._stepped()
        batch = job.training_set.by_index(range(LENSES))
        with self.rules_of_lenskit("step"):
            outputs = job.method.step(batch)
            check_outputs(job.method, outputs, LENSES)
        self.require(outputs["loss"].isfinite(), "has a loss that is not finite", self.member("step"))
        for name in {"embedding", "projection"} & outputs.keys():
            self.require(
                not outputs[name].requires_grad, f"returns {name!r} with a gradient: detach it", self.member("step")
            )

    def test_the_gradient_reaches_all_weights(self) -> None:
        job = self._stepped()
        job.method.step(job.training_set.by_index(range(LENSES)))["loss"].backward()
        with self.rules_of_lenskit("step"):
            check_gradient(job.method)
        if job.method.unused_parameters:
            return
        weights = {name: weight for name, weight in job.method.named_parameters() if weight.requires_grad}
        without = [name for name, weight in weights.items() if weight.grad is None]
        self.require(
            not without,
            f"has weights without a gradient: {', '.join(without[:5])}. Use them in the loss, set requires_grad = "
            "False, or declare unused_parameters = True",
            self.member("step"),
        )

    def test_all_weights_with_a_gradient_are_optimised(self) -> None:
        job = self._stepped()
        made = job.method.configure_optimizers()
        optimizers = made if isinstance(made, list | tuple) else [made]
        groups = [group for optimizer in optimizers for group in optimizer.param_groups]
        optimised = {id(weight) for group in groups for weight in group["params"]}
        missing = [name for name, p in job.method.named_parameters() if p.requires_grad and id(p) not in optimised]
        self.require(
            not missing,
            f"leaves weights out of the optimizer: {', '.join(missing[:5])}. List their modules",
            self.member("configure_optimizers" if job.method.optimizer_defaults is None else "parameter_groups"),
        )

    def test_the_embedding_is_that_of_the_saved_encoder(self) -> None:
        job = self.job()
        images = job.training_set.by_index(range(4)).views[0]
        job.method.eval()
        with torch.no_grad():
            same = torch.equal(job.method.embed(images), job.encoder.backbone(images))
        self.require(same, "embeds images differently from its backbone, which is saved", self.member("embed"))

    def test_the_seed_determines_the_result(self) -> None:
        self._same(
            _undisturbed(cast("Any", type(self))),
            self.trained(),
            "learns other weights with the same seed: use torch's generator or `self.rng`",
        )

    def test_a_resumed_run_equals_an_undisturbed_run(self) -> None:
        with temporary_folder() as folder:
            stopped = Job(self.config()).fit(
                Run.create(folder / "run", self.config()), None, False, [_Stop(BATCHES // 2)]
            )
            resumed = resume(stopped.path, progress=False)
            self.require(resumed.finished, "does not finish a run that was stopped", self.loaded)
            self._same(
                _undisturbed(cast("Any", type(self))),
                self._state(resumed),
                "learns other weights after an interruption: derive all changing quantities from `self.batches`, or "
                "keep them in buffers",
            )

    def test_two_processes_learn_like_one(self) -> None:
        """Two processes, each with half of a batch, have the mean gradient of one.

        Batch norm and dropout are switched off, because they depend on the process.
        """
        self._stepped()
        toml = self.config(precision="64-true").to_toml()
        one, two = gradients_of_one(toml, LENSES), gradients_of_two(toml, LENSES)
        wrong = [
            name
            for name, value in one.items()
            if not torch.allclose(two[name], value, rtol=1e-5, atol=1e-9 + 1e-6 * float(value.abs().max()))
        ]
        self.require(
            not wrong,
            f"has other gradients in two processes: {', '.join(wrong[:3])}. Use lenskit.toolbox.gather for "
            "quantities of the whole batch, and `self.rng` for random numbers",
            self.member("step"),
        )

    def test_abilities_return_a_value_for_each_image(self) -> None:
        job = self.job()
        method = job.method.eval()
        images = job.training_set.by_index(range(4)).views[0]
        abilities = [base for base in (Scorer, Reconstructor, Predictor) if isinstance(method, base)]
        if not abilities:
            raise SkipTest("it is neither a Scorer nor a Reconstructor nor a Predictor")
        with torch.no_grad():
            if isinstance(method, Scorer) and (scores := method.score(images)) is not None:
                with self.rules_of_lenskit("score"):
                    check_answer(method, "score", scores, images)
                for name, value in method.figures(images).items():
                    self.require(
                        value.shape == (4,),
                        f"gives {name!r} of shape {tuple(value.shape)}: give a number for each image",
                        self.member("figures"),
                    )
            if isinstance(method, Reconstructor):
                with self.rules_of_lenskit("reconstruct"):
                    check_answer(method, "reconstruct", method.reconstruct(images), images)
            if isinstance(method, Predictor):
                for name, value in method.predict(images).items():
                    self.require(
                        value.shape == (4,),
                        f"predicts {name!r} of shape {tuple(value.shape)}: give a number for each image",
                        self.member("predict"),
                    )
                chances = method.probabilities(images)
                for name, count in method.classes.items():
                    shape = tuple(chances[name].shape) if name in chances else "none"
                    self.require(
                        shape == (4, count),
                        f"gives probabilities {shape} of {name!r}: give {(4, count)}",
                        self.member("probabilities"),
                    )

    def test_the_suggested_evaluation_exists(self) -> None:
        judge = self.loaded.judged_by  # type: ignore[attr-defined]
        if not judge:
            raise SkipTest("it suggests no evaluation")
        try:
            registry().find("evaluation", judge)
        except UsageError as error:
            self.require(False, f"suggests an evaluation in `judged_by` that is missing: {error}", self.loaded)

    def _stepped(self) -> Job:
        """Return a job whose method can step without a Trainer."""
        job = self.job()
        if not job.method.automatic_optimization:
            raise SkipTest("it steps its optimizers itself")
        return job

    def trained(self) -> dict[str, Tensor]:
        """Train without an interruption, and return the numbers by name."""
        with temporary_folder() as folder:
            return self._state(Job(self.config()).fit(Run.create(folder / "run", self.config()), None, False))

    def _state(self, run: Run) -> dict[str, Tensor]:
        """Return weights, optimizer states and encoder of a run, by name."""
        checkpoint = torch.load(run.checkpoint, weights_only=True)
        encoder = {f"encoder.{name}": value for name, value in run.encoder().state_dict().items()}
        return {**checkpoint["state_dict"], **_tensors("optimizer", checkpoint["optimizer_states"]), **encoder}

    def _same(self, one: dict[str, Tensor], other: dict[str, Tensor], fault: str) -> None:
        wrong = [name for name in one if name not in other or not torch.equal(one[name], other[name])]
        self.require(not wrong and one.keys() == other.keys(), f"{fault} ({', '.join(wrong[:3])})", self.loaded)


def _tensors(name: str, value: Any) -> dict[str, Tensor]:
    """Return all numbers in nested values as tensors, by their paths."""
    if isinstance(value, Tensor):
        return {name: value}
    if isinstance(value, int | float):
        return {name: torch.tensor(value)}
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list | tuple) else ()
    return {path: tensor for key, each in items for path, tensor in _tensors(f"{name}.{key}", each).items()}


@cache
def _undisturbed(contract: Any) -> dict[str, Tensor]:
    """Return the weights of an undisturbed training, which two tests use."""
    weights: dict[str, Tensor] = contract().trained()
    return weights


class _Stop(pl.Callback):
    """Stop a training after a number of batches."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        self.left -= 1
        trainer.should_stop |= self.left == 0
