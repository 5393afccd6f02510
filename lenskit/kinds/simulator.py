"""Base class of simulators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from lenskit.generator import KeyedGenerator
from lenskit.kinds.macro_model import MacroModel
from lenskit.kinds.parameter import Parameter

Scene = dict[str, Tensor]
"""All quantities that determine a batch of images, by name: tensors whose first axis is the image."""


class Simulator(ABC):
    """Simulator that samples scenes, group by group, and renders them as images.

    A subclass states its `groups`, its `parameters` and its `image_shape`, and implements `draw` and `render`. Its
    keyword-only constructor arguments are its options.

    A scene must not depend on the other scenes of its batch. An image is a function of its address only: the seed, the
    split, the number of the lens and the number of the view.
    """

    groups: tuple[str, ...]
    """Parameter groups in the order in which they are sampled. A pair strategy may share any of them."""

    parameters: Sequence[Parameter]
    """The recorded parameters; each names a key of the scene whose value has shape (n,)."""

    known: Sequence[Parameter] = ()
    """Further parameters that it may sample. They are recorded, with their units, if a table gives their values."""

    image_shape: tuple[int, int, int]
    """Channels, height and width of an image."""

    pixel_scale: float | None = None
    """Size of a pixel in arcsec, or None. Stores on disk have coordinates only if it is set."""

    removable: frozenset[str] = frozenset()
    """Groups whose light `render` can leave out, for control experiments."""

    natural_correlations: Mapping[str, str] = MappingProxyType({})
    """Headline parameters that correlate with light that is not the source's, as they also do in nature, and the
    reason for each. See the shortcut control in docs/guides/simulators.md."""

    shortcut_remedies: Mapping[str, str] = MappingProxyType({})
    """Remedy for each headline parameter that correlates with such light, unlike in nature."""

    remarks: Sequence[str] = ()
    """Remarks on the chosen options, such as the kind of all sources. They are logged once, when a run or a store is
    created."""

    anomaly_options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Options that add the anomalies that a detector should find, such as all classes of lenses."""

    @abstractmethod
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        """Sample the quantities of one group.

        Args:
            group: One of `groups`.
            rng: Random numbers by name, one row per image: `rng.sample("theta_E", prior)`.
            scene: The entries of the earlier groups.

        Returns:
            The new entries of the scene; each tensor's first axis has length `rng.n`.
        """

    @abstractmethod
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        """Render scenes as images.

        Args:
            scene: The entries of all groups for n images.
            omit: Groups of `removable` whose light is left out.

        Returns:
            Images (n, channels, height, width).
        """

    def scene(
        self, seed: int, split: str, index: Tensor, view: Tensor | int = 0, *,
        shared: Iterable[str] = (), dtype: torch.dtype = torch.float32, given: Mapping[str, Tensor] | None = None,
    ) -> Scene:  # fmt: skip
        """Sample the scenes of a batch of addresses.

        Args:
            seed: Seed of the run.
            split: Part of the data, such as `train`.
            index: (n,) int64, number of each lens. The scene is made on the same device.
            view: (n,) int64 or one number, number of each rendering of its lens.
            shared: Groups whose quantities are the same in all renderings of a lens. Pixel noise is not shared: each
                rendering has its own.
            dtype: Floating-point type of the scene.
            given: Fixed values by name, (n,) float64. They replace the random numbers of that name, except where they
                are NaN. Quantities that are computed from a replaced number use the fixed value.

        Returns:
            The scene, with n images.
        """
        if isinstance(view, int):
            view = torch.full_like(index, view)
        scene: Scene = {}
        for group in self.groups:
            own = torch.zeros_like(view) if group in shared else view
            rng = KeyedGenerator(seed, split, group, index, own, dtype, rendering=view, given=given)
            scene |= self.draw(group, rng, scene)
        return scene

    def macro_model(self, free: Sequence[str] | None = None) -> MacroModel | None:
        """Return a model of the lenses without substructure and noise, for fits.

        The default is None: no model.

        Args:
            free: Parameters to fit even if the simulator uses the same value for all lenses. By default, the parameters
                that are unknown for a real lens.

        Raises:
            UsageError: A parameter in `free` is unknown.
        """
        return None

    def refuses(self, given: Mapping[str, Tensor]) -> Iterator[tuple[int, str, str]]:
        """Yield the fixed values from which no scene can be made.

        By default there are none. Only values of parameters that the simulator samples are checked here.

        Args:
            given: As in `scene`.

        Yields:
            The row, the name, and the reason, which a message puts after the value: `is not between 0 and 40`.
        """
        return iter(())

    def to(self, device: torch.device | str) -> Self:
        """Move the tensors in the simulator's attributes to a device."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))
        return self
