"""What a store shall hold, or holds: which images, of which configuration, made in which way."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from annotated_types import Gt, Le, Len

from lenskit.chosen import build
from lenskit.config import Config
from lenskit.data.training_set import check_groups
from lenskit.errors import UsageError
from lenskit.kinds.parameter import Parameter, ParameterRecord, parameters_of
from lenskit.kinds.simulator import Simulator
from lenskit.records import FiniteRecord, Record, checked
from lenskit.registry import registry

FORMAT = "lenskit-pairs"
VERSION = 1

CHUNK_BYTES = 8 * 2**20
"""Chunks have as many lenses (a power of two) as need no more than this in float32; and so many images are rendered at
a time."""


Count = Annotated[int, Gt(0), Le(2**48)]


class _Named(FiniteRecord):
    name: str


class _Simulate(Record):
    lenses: Count
    views: Count
    shared: list[str]
    seed: int
    split: str
    dtype: Literal["float32", "float16"]
    chunk: Count


class _Configuration(Record):
    simulator: _Named
    pairs: _Named
    simulate: _Simulate


class _Mode(Record):
    threads: Count
    batch: Count


class _Card(Record):
    """Metadata of a store."""

    configuration: _Configuration
    parameters: list[ParameterRecord]
    image_shape: Annotated[list[Count], Len(3, 3)]
    pixel_scale: Annotated[float, Gt(0)] | None = None
    mode: _Mode
    complete: bool


@dataclass(frozen=True)
class Plan:
    """What a store shall hold.

    Attributes:
        configuration: Plain values by section: `simulator` and `pairs` as resolved, and `simulate` with lenses,
            views, shared groups, seed, split, dtype and the number of lenses a chunk.
        parameters: What is recorded of each image.
        image_shape: Channels, height and width.
        pixel_scale: Size of a pixel in arcsec, if the simulator says so.
        mode: What the last bits of the images depend on beside the configuration.
    """

    configuration: dict[str, dict[str, Any]]
    parameters: tuple[Parameter, ...]
    image_shape: tuple[int, int, int]
    pixel_scale: float | None
    mode: dict[str, Any]

    @classmethod
    def of(
        cls,
        config: Config,
        *,
        lenses: int,
        views: int | None = None,
        seed: int = 0,
        split: str = "train",
        dtype: str = "float32",
        chunk: int | None = None,
    ) -> Self:
        """The plan for a configuration's simulator and pairs.

        Args:
            config: Its sections `simulator` and `pairs` count.
            lenses: How many.
            views: Images of each lens; as many as the pairs draw if not given.
            seed: Seed of the lenses.
            split: Part of the data; training uses `train`.
            dtype: `float32` or `float16`.
            chunk: Lenses a chunk; by default such that a chunk has up to 8 MB.

        Raises:
            UsageError: if the pairs share what the simulator does not draw, or there is no simulator.
        """
        if "simulator" not in config.sections:
            raise UsageError("the configuration is of stored images: say which --simulator to use")
        simulator, pairs = simulator_of(config.sections["simulator"]), config.build("pairs")
        check_groups(pairs, simulator)
        views = views or pairs.draws
        settings = {
            "lenses": lenses,
            "views": views,
            "shared": sorted(pairs.shared_groups),
            "seed": seed,
            "split": split,
            "dtype": dtype,
            "chunk": chunk or default_chunk(views * math.prod(simulator.image_shape)),
        }
        sections = {name: config.sections[name] for name in ("simulator", "pairs")}
        return cls(
            sections | {"simulate": settings},
            tuple(simulator.parameters),
            simulator.image_shape,
            simulator.pixel_scale,
            current_mode(config.name("simulator"), simulator.image_shape),
        )

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> Self:
        """The plan that a store's attributes tell of."""
        return cls(
            attributes["configuration"],
            parameters_of(attributes["parameters"]),
            tuple(attributes["image_shape"]),
            attributes.get("pixel_scale"),
            attributes["mode"],
        )

    def made_here(self) -> Self:
        """The same plan, carried out by this process."""
        return replace(self, mode=current_mode(self.configuration["simulator"]["name"], self.image_shape))

    def attributes(self) -> dict[str, Any]:
        """Metadata of a store, for JSON."""
        return {
            "format": FORMAT,
            "format_version": VERSION,
            "configuration": self.configuration,
            "parameters": [asdict(p) | {"classes": list(p.classes)} for p in self.parameters],
            "image_shape": list(self.image_shape),
            "pixel_scale": self.pixel_scale,
            "mode": self.mode,
        }

    def __getitem__(self, name: str) -> Any:
        """One of the settings: `plan["lenses"]`."""
        return self.configuration["simulate"][name]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all images: (lenses, views, channels, height, width)."""
        return (self["lenses"], self["views"], *self.image_shape)

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self["lenses"] // self["chunk"])

    def lenses_of(self, chunk: int) -> range:
        """Numbers of the lenses of a chunk."""
        return range(chunk * self["chunk"], min((chunk + 1) * self["chunk"], self["lenses"]))

    def is_shared(self, parameter: Parameter) -> bool:
        """Whether all images of a lens have the same value of it."""
        return self["views"] == 1 or parameter.group in self["shared"]


def simulator_of(section: Mapping[str, Any]) -> Simulator:
    """The simulator that a configuration's section describes; asked for twice, the same one, for some are large."""
    return _built(json.dumps(section))


@lru_cache(maxsize=1)
def _built(section: str) -> Simulator:
    options = json.loads(section)
    return build("simulator", options.pop("name"), options)


def default_chunk(values: int) -> int:
    """Lenses a chunk, of `values` pixels each: a power of two."""
    return 2 ** max(0, int(math.log2(CHUNK_BYTES / (4 * values)))) if 4 * values < CHUNK_BYTES else 1


def current_mode(simulator: str, image_shape: tuple[int, int, int]) -> dict[str, Any]:
    """How this process would render images of that shape with the simulator of that name.

    The last bits of an image depend on how many are rendered at a time, on the instructions that a processor has, on
    whether code is compiled, and on versions.
    """
    import numpy
    import torch

    distribution = registry().find("simulator", simulator).plugin.distribution
    versions = {name: metadata.version(name) for name in sorted({"lenskit-ssl", distribution})}
    return {
        "device": "cpu",
        "threads": 1,
        "batch": default_chunk(math.prod(image_shape)),
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "compiled": os.environ.get("LENSKIT_COMPILE") == "1",
        "versions": versions | {"torch": torch.__version__, "numpy": numpy.__version__},
    }


def differences(held: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two nested mappings differ: the field's name and both values (None where there is none)."""
    for name in dict.fromkeys([*held, *wanted]):
        one, other = held.get(name), wanted.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from differences(one, other, f"{prefix}{name}.")
        elif one != other:
            yield prefix + name, one, other


def checked_attributes(path: Path, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of the store at a path, if they are such.

    Raises:
        UsageError: if they are of something else, or of another version of the format.
    """
    if attributes.get("format") != FORMAT:
        raise UsageError(f"{path} is no store of simulated pairs: it does not say that its format is {FORMAT}")
    if attributes.get("format_version") != VERSION:
        raise UsageError(
            f"{path} differs in format_version: it has {attributes.get('format_version')}, "
            f"this version of lenskit knows {VERSION}"
        )
    card: dict[str, Any] = checked(dict(attributes), f"{path} is damaged: its card", _Card)
    return card
