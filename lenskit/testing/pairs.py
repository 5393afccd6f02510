"""Contract of pair strategies: views depend on one lens and its random numbers."""

from __future__ import annotations

from typing import ClassVar
from unittest import SkipTest

import torch
from torch import Tensor

from lenskit.breach import no_global_generator
from lenskit.contracts.pairs import check_batch, check_stated, meet_pairs
from lenskit.generator import KeyedGenerator
from lenskit.kinds.pairs import Batch, Composition, PairStrategy, Transform
from lenskit.kinds.parameter import Parameter
from lenskit.testing.contract import Breach, ClassContract, place_of
from lenskit.words import reason


class PairsContract(ClassContract):
    """Tests of a pair strategy.

    ```python
    class TestSpeckle(PairsContract):
        component = "speckle"
    ```
    """

    kind = "pairs"

    image_shape: ClassVar[tuple[int, int, int]] = (1, 32, 32)
    """Channels, height and width of the images of the test."""

    parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter("theta_E", "arcsec", headline=True),
        Parameter("e1"),
        Parameter("e2"),
    )
    """Recorded parameters of the lenses of the test."""

    lenses: ClassVar[int] = 6
    """Number of lenses of the test."""

    def prepared(self) -> PairStrategy:
        """Return the strategy, ready to make views."""
        strategy: PairStrategy = self.build()
        with self.rules_of_lenskit():
            check_stated(strategy)
        strategy.prepare(self.parameters, self.image_shape)
        return strategy

    def images(self, draws: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return random images and parameters.

        Images have the shape (n, draws, channels, height, width), and each parameter (n, draws).
        """
        random = torch.Generator().manual_seed(0)
        images = torch.rand(self.lenses, draws, *self.image_shape, generator=random)
        values = {p.name: torch.rand(self.lenses, draws, generator=random) for p in self.parameters}
        return images, values

    def numbers(self, seed: int = 0) -> KeyedGenerator:
        """Return the random numbers of the lenses."""
        index = torch.arange(self.lenses)
        return KeyedGenerator(seed, "train", "views", index, torch.zeros_like(index))

    def views(self, strategy: PairStrategy, seed: int = 0) -> Batch:
        """Return the views of the images."""
        images, values = self.images(strategy.draws)
        return strategy(images.clone(), dict(values), self.numbers(seed))

    def test_it_passes_the_checks_at_first_use(self) -> None:
        strategy = self.prepared()
        with self.rules_of_lenskit(self._name):
            meet_pairs(strategy, *self.images(strategy.draws), self.numbers())

    def test_it_returns_the_stated_views(self) -> None:
        strategy = self.prepared()
        with self.rules_of_lenskit(self._name):
            _, values = self.images(strategy.draws)
            batch = self.views(strategy)
            check_batch(strategy, batch, strategy.views, values, self.numbers().index)
        for view in batch.views:
            self.require(view.isfinite().all(), "makes views with NaN or infinite pixels", self._code)
            self.require(view.dtype == torch.float32, f"makes views of {view.dtype} from float32", self._code)
        for name, value in batch.parameters.items():
            self.require(
                value.shape == (self.lenses, strategy.views),
                f"returns {name!r} of shape {tuple(value.shape)}: give a value for each lens and view",
                self._code,
            )

    def test_random_numbers_determine_the_views(self) -> None:
        """Another state of the global generators does not change the views."""
        first = self.views(self.prepared())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(12345)
            second = self.views(self.prepared())
        same = all(torch.equal(one, other) for one, other in zip(first.views, second.views, strict=True))
        self.require(same, "makes other views from the same numbers: use `rng` for all random numbers", self._code)

    def test_no_global_generator_is_used(self) -> None:
        strategy = self.prepared()
        with self.rules_of_lenskit(self._name), no_global_generator(strategy):
            self.views(strategy)

    def test_neighbours_in_the_batch_do_not_matter(self) -> None:
        strategy = self.prepared()
        images, values = self.images(strategy.draws)
        together = self.views(strategy)
        for row in (0, self.lenses - 1):
            rows = slice(row, row + 1)
            index = torch.tensor([row])
            rng = KeyedGenerator(0, "train", "views", index, torch.zeros_like(index))
            alone = strategy(images[rows].clone(), {name: value[rows] for name, value in values.items()}, rng)
            for one, other in zip(alone.views, together.views, strict=True):
                self.require(
                    torch.allclose(one[0], other[row], rtol=0, atol=1e-4),
                    "makes other views of a lens alone than in a batch: use no other lens of the batch",
                    self._code,
                )

    def test_the_images_that_it_gets_are_unchanged(self) -> None:
        strategy = self.prepared()
        images, values = self.images(strategy.draws)
        strategy(images, dict(values), self.numbers())
        before, known = self.images(strategy.draws)
        self.require(torch.equal(images, before), "changes the images that it gets: copy them first", self._code)
        for name, value in known.items():
            self.require(
                torch.equal(values[name], value), f"changes the values of {name!r} that it gets: copy them", self._code
            )

    def test_it_follows_another_strategy(self) -> None:
        """`lens-fixed+NAME` works."""
        transform = self.build()
        if not isinstance(transform, Transform):
            raise SkipTest("it makes views itself")
        composition = Composition(_Identical(), {"part": transform})
        composition.prepare(self.parameters, self.image_shape)
        try:
            batch = self.views(composition)
        except (RuntimeError, IndexError, ValueError) as error:
            raise Breach(
                f"{self.record.origin} fails on {composition.views} views: {reason(error)}. Make as many views as it "
                f"gets, images.shape[1]{place_of(self._code)}"
            ) from error
        self.require(len(batch.views) == 3, "returns another number of views than it gets", self._code)
        self.require(
            batch.views[0].shape[1:] == self.image_shape,
            f"turns views of {self.image_shape} into {tuple(batch.views[0].shape[1:])}",
            self._code,
        )

    def test_tensors_are_on_the_device_of_the_images(self) -> None:
        strategy = self.prepared()
        images, values = self.images(strategy.draws)
        with self.on_a_gpu("Make tensors on the device of the images", self._name) as device:
            index = torch.arange(self.lenses, device=device)
            rng = KeyedGenerator(0, "train", "views", index, torch.zeros_like(index))
            batch = strategy(images.to(device), {name: value.to(device) for name, value in values.items()}, rng)
        for view in batch.views:
            self.require(view.device.type == device.type, f"makes views on {view.device.type}", self._code)

    @property
    def _code(self) -> object:
        """Method that makes the views."""
        return self.member(self._name)

    @property
    def _name(self) -> str:
        return "transform" if issubclass(self.loaded, Transform) else "__call__"


class _Identical(PairStrategy):
    """Three equal renderings as three views."""

    draws = 3
    views = 3
