"""Simulators: what draws scenes and renders them."""

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
"""Everything that determines a batch of images, by name: tensors whose first axis is the image."""


class Simulator(ABC):
    """Draws scenes, group by group, and renders them as images.

    A subclass states its `groups`, its `parameters` and its `image_shape`, and implements `draw` and `render`. Its
    keyword-only constructor arguments are its options.

    Nothing in a scene may depend on the scene's neighbours in the batch: an image is a function of its address.
    """

    groups: tuple[str, ...]
    """Parameter groups in the order in which they are drawn. A pair strategy may share any of them."""

    parameters: Sequence[Parameter]
    """The recorded parameters; each names a key of the scene whose value has shape (n,)."""

    known: Sequence[Parameter] = ()
    """Others that it may draw: they are recorded where a table says them, with their units."""

    image_shape: tuple[int, int, int]
    """Channels, height and width of an image."""

    pixel_scale: float | None = None
    """Size of a pixel in arcsec, where it has one: stores on disk have coordinates then."""

    removable: frozenset[str] = frozenset()
    """Groups whose light `render` can leave out, for control experiments."""

    natural_correlations: Mapping[str, str] = MappingProxyType({})
    """Headline parameters that light other than the source's tells as it does in nature, and why; see the shortcut
    control in docs/simulators.md."""

    shortcut_remedies: Mapping[str, str] = MappingProxyType({})
    """What to do where such light tells a headline parameter and nature is not the reason."""

    remarks: Sequence[str] = ()
    """Lines on what its options imply, such as what all sources are: said once, when a run is made."""

    anomaly_options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Options under which it also makes what a detector of anomalies shall find, such as all classes of lenses."""

    @abstractmethod
    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        """Draws one group.

        Args:
            group: One of `groups`.
            rng: Gives numbers by name, one row an image: `rng.sample("theta_E", prior)`.
            scene: What the groups before this one drew.

        Returns:
            The new entries of the scene; each tensor's first axis has length `rng.n`.
        """

    @abstractmethod
    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        """Renders scenes.

        Args:
            scene: All groups' entries for n images.
            omit: Groups of `removable` whose light is left out.

        Returns:
            Images (n, channels, height, width).
        """

    def scene(
        self, seed: int, split: str, index: Tensor, view: Tensor | int = 0, *,
        shared: Iterable[str] = (), dtype: torch.dtype = torch.float32, given: Mapping[str, Tensor] | None = None,
    ) -> Scene:  # fmt: skip
        """Draws the scenes of a batch of addresses.

        Args:
            seed: Seed of the run.
            split: Part of the data, such as `train`.
            index: (n,) int64, number of each lens; its device is the scene's.
            view: (n,) int64 or one number, number of each rendering of its lens.
            shared: Groups that all renderings of a lens share: all that is drawn in them but pixel noise, which is
                each rendering's own.
            dtype: Floating-point type of the scene.
            given: By the name under which it would be drawn, (n,) float64: what stands in for draws; NaN where it is
                drawn even so. What follows from a draw follows from what is given.

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
        """Return the model of its lenses without substructure and noise, for fits; by default there is none.

        Args:
            free: Parameters to be fitted although the simulator gives all lenses the same value; if not given, those
                that nobody knows of a real lens.

        Raises:
            UsageError: A parameter in `free` is unknown.
        """
        return None

    def refuses(self, given: Mapping[str, Tensor]) -> Iterator[tuple[int, str, str]]:
        """What of some values it cannot make a scene of, though it draws such parameters: by default nothing.

        Args:
            given: As `scene` takes it.

        Yields:
            The row, the name, and what would be right, to stand behind the value: `is not between 0 and 40`.
        """
        return iter(())

    def to(self, device: torch.device | str) -> Self:
        """Moves the tensors that the simulator holds as attributes to a device."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))
        return self
