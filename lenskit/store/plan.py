"""Plan of a store: configuration of its images, and mode of rendering."""

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
"""Maximum size in bytes, as float32, of a chunk with several lenses, and of the images that are rendered at a time.
`default_chunk` gives both numbers."""


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
    """Card of a store: its metadata."""

    configuration: _Configuration
    parameters: list[ParameterRecord]
    image_shape: Annotated[list[Count], Len(3, 3)]
    pixel_scale: Annotated[float, Gt(0)] | None = None
    mode: _Mode
    complete: bool


@dataclass(frozen=True)
class Plan:
    """Plan of a store, from which every process makes the same chunks.

    Attributes:
        configuration: Plain values by section: the resolved `simulator` and `pairs`, and `simulate` with the number of
            lenses, views, shared groups, seed, split, dtype and number of lenses per chunk.
        parameters: Parameters recorded for each image.
        image_shape: Channels, height and width.
        pixel_scale: Size of a pixel in arcsec; None if unknown.
        mode: Versions and other properties of the rendering process on which the last bits of the images depend.
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
        """Return the plan for a configuration's simulator and pairs.

        Args:
            config: Configuration; only its sections `simulator` and `pairs` are used.
            lenses: Number of lenses.
            views: Number of images of each lens. By default, the number that the pairs need.
            seed: Random seed of the lenses.
            split: Split of the lenses; training uses `train`.
            dtype: `float32` or `float16`.
            chunk: Number of lenses per chunk. By default, a chunk has up to 8 MiB as float32.

        Raises:
            UsageError: The pairs share a group that the simulator does not have, or there is no simulator.
        """
        if "simulator" not in config.sections:
            raise UsageError("the configuration has no simulator, only stored images: pass --simulator NAME")
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
        """Return the plan in the attributes of a store."""
        return cls(
            attributes["configuration"],
            parameters_of(attributes["parameters"]),
            tuple(attributes["image_shape"]),
            attributes.get("pixel_scale"),
            attributes["mode"],
        )

    def made_here(self) -> Self:
        """Return the same plan with the mode of this process."""
        return replace(self, mode=current_mode(self.configuration["simulator"]["name"], self.image_shape))

    def attributes(self) -> dict[str, Any]:
        """Return the metadata of a store, for JSON."""
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
        """Return a setting of the section `simulate`, such as `plan["lenses"]`."""
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
        """Return the numbers of the lenses of a chunk."""
        return range(chunk * self["chunk"], min((chunk + 1) * self["chunk"], self["lenses"]))

    def is_shared(self, parameter: Parameter) -> bool:
        """Whether all images of a lens have the same value of a parameter."""
        return self["views"] == 1 or parameter.group in self["shared"]


def simulator_of(section: Mapping[str, Any]) -> Simulator:
    """Return the simulator that a section of a configuration describes.

    The latest simulator is cached, because some are large.
    """
    return _built(json.dumps(section))


@lru_cache(maxsize=1)
def _built(section: str) -> Simulator:
    options = json.loads(section)
    return build("simulator", options.pop("name"), options)


def default_chunk(values: int) -> int:
    """Return the largest power of two of lenses that fits into `CHUNK_BYTES`.

    The number is at least 1, even if one lens is larger.

    Args:
        values: Number of pixels of all views and channels of a lens; they are float32.
    """
    return 2 ** max(0, int(math.log2(CHUNK_BYTES / (4 * values)))) if 4 * values < CHUNK_BYTES else 1


def current_mode(simulator: str, image_shape: tuple[int, int, int]) -> dict[str, Any]:
    """Return the mode in which this process renders images.

    The last bits of an image depend on the number of images rendered at a time, the instructions of the processor,
    compilation and versions.

    Args:
        simulator: Name of the simulator.
        image_shape: Channels, height and width.
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
    """Yield the differences of two nested mappings.

    Each item is the dotted name of a field, and its value in both mappings; None for a missing value.
    """
    for name in dict.fromkeys([*held, *wanted]):
        one, other = held.get(name), wanted.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from differences(one, other, f"{prefix}{name}.")
        elif one != other:
            yield prefix + name, one, other


def checked_attributes(path: Path, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of the store at a path after checking them.

    Raises:
        UsageError: The attributes are not from a store, or are from a different version of the format.
    """
    if attributes.get("format") != FORMAT:
        raise UsageError(f"{path} is not a store of simulated pairs: its format is not {FORMAT}")
    if attributes.get("format_version") != VERSION:
        raise UsageError(
            f"{path} differs in format_version: it has {attributes.get('format_version')}, "
            f"this version of lenskit supports {VERSION}"
        )
    card: dict[str, Any] = checked(dict(attributes), f"{path} is damaged: its card", _Card)
    return card
