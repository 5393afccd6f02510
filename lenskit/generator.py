"""Random numbers that depend only on the address of an image.

Every number is a pure function of the address `(seed, split, index, view)`, the parameter group and the name of the
parameter. Counter-based generators have no state that could depend on batches, workers or ranks. There are two:

- Parameters come from Philox4x32-10 (Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405), which cuRAND and
  numpy use, too.
- Pixel noise comes from two rounds of a 32-bit integer hash ("lowbias32" of
  https://github.com/skeeto/hash-prospector) and the Box-Muller transform, which is several times cheaper.

Integer arithmetic gives the same result on every device. Parameters are computed from the integers in float64, and then
rounded. So they agree bit by bit on devices of one kind, and up to rounding on different kinds.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from lenskit.distributions import Distribution

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)


def philox(counter: Sequence[Tensor], key: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return four independent 32-bit words for each counter and key: Philox4x32-10.

    Args:
        counter: Four int64 tensors of values below 2^32.
        key: Two int64 tensors of values below 2^32. All six tensors broadcast with each other.

    Returns:
        Four int64 tensors of the common shape, with values below 2^32.
    """
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        # int64 products wrap modulo 2^64, so their bits are right. The mask removes the sign bits of the shift.
        p0, p1 = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b, c, d = (
            ((p1 >> 32) & _MASK) ^ b ^ k0,
            p1 & _MASK,
            ((p0 >> 32) & _MASK) ^ d ^ k1,
            p0 & _MASK,
        )
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return a, b, c, d


class KeyedGenerator:
    """Random numbers of one parameter group for a batch of n addresses.

    Each method takes the name of the parameter to sample. Different names give independent streams, so a change to one
    parameter does not change the others. Sample each name once per group: a second call gives the same numbers.

    Args:
        seed: Random seed of the run, any integer.
        split: Part of the data, such as `train`. Different splits have different lenses.
        group: Parameter group.
        index: (n,) int64, number of each lens.
        view: (n,) int64, number of the rendering; 0 everywhere for a group that the renderings share.
        dtype: Floating-point type of the numbers.
        rendering: (n,) int64, number of the rendering for pixel noise, also for a group that the renderings share: two
            exposures may have the same noise level, but never the same noise. `view` if omitted.
        given: Fixed values by name, (n,) float64. They replace the random numbers of that name, of any shape; NaN keeps
            the random number. Pixel noise and parts are always random.
    """

    def __init__(
        self,
        seed: int,
        split: str,
        group: str,
        index: Tensor,
        view: Tensor,
        dtype: torch.dtype = torch.float32,
        rendering: Tensor | None = None,
        given: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.seed, self.split, self.group = seed, split, group
        self.index, self.view, self.dtype = index, view, dtype
        self.rendering = view if rendering is None else rendering
        self.given = given
        self.device = index.device

    @property
    def n(self) -> int:
        """Number of addresses."""
        return len(self.index)

    def part(self, name: str) -> KeyedGenerator:
        """Return the generator of a part of this group.

        Its numbers are independent of the numbers of the group, even for equal names.
        """
        group = f"{self.group}\0{name}"
        return KeyedGenerator(self.seed, self.split, group, self.index, self.view, self.dtype, self.rendering)

    def of(self, rows: Tensor) -> KeyedGenerator:
        """Return the generator of the random numbers of some images.

        Args:
            rows: Indices of images in this generator, (m,) int64, or a mask, (n,) bool.
        """
        given = None if self.given is None else {name: values[rows] for name, values in self.given.items()}
        index, view, rendering = (numbers[rows] for numbers in (self.index, self.view, self.rendering))
        return KeyedGenerator(self.seed, self.split, self.group, index, view, self.dtype, rendering, given)

    def sample(self, name: str, distribution: Distribution, *shape: int) -> Tensor:
        """Sample a distribution: (n, *shape)."""
        return self._or_given(name, distribution.quantile(self._uniform64(name, shape))).to(self.dtype)

    def samples(self, priors: Mapping[str, Distribution]) -> dict[str, Tensor]:
        """Sample each prior once, (n,) each.

        The numbers equal those of one call of `sample` per prior, but are computed together.
        """
        a, b, _, _ = self._words(list(priors), 1)
        u = _to_uniform(a, b).squeeze(2)
        drawn = {name: prior.quantile(u[:, i]) for i, (name, prior) in enumerate(priors.items())}
        return {name: self._or_given(name, values).to(self.dtype) for name, values in drawn.items()}

    def uniform(self, name: str, *shape: int) -> Tensor:
        """Return uniform random numbers: (n, *shape).

        They lie strictly between 0 and 1 before they are rounded to `dtype`.
        """
        return self._or_given(name, self._uniform64(name, shape)).to(self.dtype)

    def normal(self, name: str, *shape: int) -> Tensor:
        """Return standard normal random numbers: (n, *shape)."""
        return self._or_given(name, torch.special.ndtri(self._uniform64(name, shape))).to(self.dtype)

    def integers(self, name: str, high: int, *shape: int) -> Tensor:
        """Return random integers from 0 to `high` - 1: (n, *shape), int64."""
        return self._or_given(name, (self._uniform64(name, shape) * high).long().clamp_(max=high - 1))

    def noise(self, name: str, *shape: int) -> Tensor:
        """Return standard normal noise for many pixels: (n, *shape).

        This is cheaper than `normal`, which is for parameters. Renderings have different noise even if they share the
        group. The noise is accurate to 24 bits in the core of the distribution, and reaches 5.7 sigma. Tests check that
        pixels and addresses are independent.
        """
        pixels = math.prod(shape)
        half = (pixels + 1) // 2
        words = (word[:, 0] for word in self._words([name], 1, self.rendering))
        keys = [word.to(torch.int64).sub(1 << 31).to(torch.int32) for word in words]
        pixel = torch.arange(half, dtype=torch.int32, device=self.device)
        state = _hash32(pixel * -1640531527 ^ keys[0])
        radius = _hash32(state ^ keys[1])
        angle = _hash32(state + keys[2])
        # 24 bits each: u in (0, 1], phi in [-pi, pi)
        u = (radius >> 8).bitwise_and_(0xFFFFFF).to(torch.float32).add_(1).mul_(2.0**-24)
        phi = angle.to(torch.float32).mul_(math.pi * 2.0**-31)
        r = u.log_().mul_(-2).sqrt_()
        both = torch.cat([r * phi.cos(), r * phi.sin()], dim=1)[:, :pixels]
        return both.reshape(self.n, *shape).to(self.dtype)

    def _or_given(self, name: str, drawn: Tensor) -> Tensor:
        """Replace random numbers, (n, ...), by fixed values of `name` that are not NaN."""
        values = None if self.given is None else self.given.get(name)
        if values is None:
            return drawn
        values = values.view(-1, *[1] * (drawn.ndim - 1))
        return torch.where(values.isnan(), drawn, values.nan_to_num().to(drawn.dtype))

    def _uniform64(self, name: str, shape: Sequence[int]) -> Tensor:
        """Return uniform float64 numbers (n, *shape) of 52 bits, strictly between 0 and 1."""
        count = math.prod(shape)
        a, b, c, d = (word[:, 0] for word in self._words([name], (count + 1) // 2))
        pairs = torch.stack([_to_uniform(a, b), _to_uniform(c, d)], dim=-1)
        return pairs.flatten(1)[:, :count].reshape(self.n, *shape)

    def _words(
        self, names: Sequence[str], blocks: int, view: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return four 32-bit words for each address, name and block.

        Each of the four tensors is (n, names, blocks).
        """
        keys = _keys(self.seed, self.split, self.group, tuple(names), self.device)
        index, view = self.index[:, None, None], (self.view if view is None else view)[:, None, None]
        block = torch.arange(blocks, dtype=torch.int64, device=self.device)
        return philox((index & _MASK, (index >> 32) & _MASK, view, block), keys.view(1, -1, 1, 2).unbind(-1))


@lru_cache(maxsize=1024)
def _keys(seed: int, split: str, group: str, names: tuple[str, ...], device: torch.device) -> Tensor:
    """Return two 32-bit words for each name: (names, 2).

    They are cached on the device, because each copy to it would wait for the device.
    """
    # No name contains the separator, so name `a/b` of group `c` and name `b` of group `c/a` have different streams.
    texts = ("\0".join((str(seed), split, group, name)) for name in names)
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return torch.from_numpy(np.frombuffer(digests, dtype="<u4").astype(np.int64)).to(device)


def _to_uniform(high: Tensor, low: Tensor) -> Tensor:
    """Convert 52 bits of two words to a float64 strictly between 0 and 1."""
    return ((high << 20) | (low >> 12)).to(torch.float64).add_(0.5).mul_(2.0**-52)


def _hash32(x: Tensor) -> Tensor:
    """Apply the hash lowbias32 to an int32 tensor, in place.

    The caller must not need the old values. int32 products wrap, and the masks turn the shifts into logical shifts.
    """
    x ^= (x >> 16).bitwise_and_(0xFFFF)
    x *= 0x7FEB352D
    x ^= (x >> 15).bitwise_and_(0x1FFFF)
    x *= -2073254261  # 0x846CA68B
    x ^= (x >> 16).bitwise_and_(0xFFFF)
    return x
