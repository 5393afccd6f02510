"""The lenses of the probe: such as training never sees, wherever these are to be had."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lenskit.data.held import read_lenses
from lenskit.data.source import VIEWS, Source, StoredSource, simulator_of
from lenskit.generator import KeyedGenerator
from lenskit.kinds.dataset import Dataset
from lenskit.kinds.parameter import Parameter
from lenskit.kinds.simulator import Simulator
from lenskit.training.shortcut import SOURCE

SPLIT, SEED = "probe", 0
"""Lenses of a split of their own, and the same ones whatever the seed of the run: so probes of runs compare."""

COMPARED = 256
"""Lenses whose views are compared with each other: alignment and uniformity need no more."""

CHUNK = 128
"""Lenses rendered or read at a time."""

Chunk = tuple[Tensor, dict[str, Tensor], Tensor]
"""Images (n, draws, C, H, W), their parameters (n, draws) each, and the numbers of the lenses (n,)."""


@dataclass(frozen=True)
class Lenses:
    """What a probe looks at, on the CPU.

    Attributes:
        images: (n, C, H, W), stretched and resized: one image of each lens, nothing else done to it.
        views: The first two views of the first lenses, as the pairs make them, (m, C, H, W) each; empty if there is
            but one.
        values: For each recorded parameter (n,), NaN where not known.
        parameters: What can be probed.
        seen: Whether training learns from these lenses too.
    """

    images: Tensor
    views: tuple[Tensor, ...]
    values: dict[str, Tensor]
    parameters: tuple[Parameter, ...]
    seen: bool


def held_out(source: Source, lenses: int, device: torch.device | str = "cpu") -> Lenses:
    """Lenses for the probe of a run.

    They are simulated, in a split that training never draws from: by the run's simulator, or by the one that made its
    store. Of stored images without a simulator the first ones are taken, which training learns from too.

    Args:
        source: Where training's batches come from.
        lenses: How many, at most.
        device: Where they are rendered and made into views.
    """
    simulator = simulator_of(source)
    if simulator is not None:
        chunks, parameters = _simulated(simulator, source, lenses, device), simulator.parameters
    else:
        assert isinstance(source, StoredSource)
        chunks, parameters = _stored(source.dataset, source, lenses, device), source.parameters
    images: list[Tensor] = []
    views: list[tuple[Tensor, ...]] = []
    values: dict[str, list[Tensor]] = {parameter.name: [] for parameter in parameters}
    for raw, known, index in chunks:
        prepared = source.preprocess(raw.flatten(0, 1)).unflatten(0, raw.shape[:2])
        images.append(prepared[:, 0].cpu())
        for name, value in values.items():
            value.append(known[name][:, 0].double().cpu())
        if raw.shape[1] == source.pairs.draws and CHUNK * len(views) < COMPARED:
            rng = KeyedGenerator(SEED, SPLIT, VIEWS, index, torch.zeros_like(index))
            views.append(tuple(view.cpu() for view in source.pairs(prepared, known, rng).views[:2]))
    two = tuple(torch.cat(parts) for parts in zip(*views, strict=True))
    # Views of another size, such as small crops, are not what the encoder is made for.
    alike = len(two) == 2 and all(view.shape[1:] == images[0].shape[1:] for view in two)
    return Lenses(
        torch.cat(images),
        two if alike else (),
        {name: torch.cat(parts) for name, parts in values.items()},
        tuple(parameters),
        simulator is None,
    )


def without_source(
    simulator: Simulator, source: Source, lenses: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, dict[str, Tensor]]:
    """The images of `held_out` once more, without the light of their sources, and their parameters, on the CPU.

    Args:
        simulator: That of the source, which can leave it out.
        source: Where training's batches come from.
        lenses: How many.
        device: Where they are rendered.
    """
    images: list[Tensor] = []
    values: dict[str, list[Tensor]] = {parameter.name: [] for parameter in simulator.parameters}
    for raw, known, _ in _simulated(simulator, source, lenses, device, without=(SOURCE,)):
        images.append(source.preprocess(raw[:, 0]).cpu())
        for name, value in values.items():
            value.append(known[name][:, 0].double().cpu())
    return torch.cat(images), {name: torch.cat(parts) for name, parts in values.items()}


@torch.no_grad()
def _simulated(
    simulator: Simulator, source: Source, lenses: int, device: torch.device | str, without: Collection[str] = ()
) -> Iterator[Chunk]:
    """Images of all views of the first lenses and of one of the others; of one of each if light is left out."""
    simulator.to(device)
    for start in range(0, lenses, CHUNK):
        draws = source.pairs.draws if start < COMPARED and not without else 1
        index = torch.arange(start, min(start + CHUNK, lenses), device=device)
        view = torch.arange(draws, device=device).repeat(len(index))
        lens = index.repeat_interleave(draws)
        scene = simulator.scene(SEED, SPLIT, lens, view, shared=source.pairs.shared)
        images = simulator.render(scene, without).unflatten(0, (len(index), draws))
        yield images, {p.name: scene[p.name].view(len(index), draws) for p in simulator.parameters}, index


def _stored(dataset: Dataset, source: Source, lenses: int, device: torch.device | str) -> Iterator[Chunk]:
    for start in range(0, min(lenses, len(dataset)), CHUNK):
        these = range(start, min(start + CHUNK, lenses, len(dataset)))
        images, known = (each.to(device) for each in read_lenses(dataset, these, draws=source.pairs.draws))
        index = torch.tensor(these, device=device)
        yield images, {p.name: known[..., i] for i, p in enumerate(dataset.parameters)}, index
