"""Prior distributions with a text form, such as `uniform(0.5, 2.5)` and `1.2`.

A distribution maps uniform random numbers to samples (inverse transform). So one stream of random numbers serves all
distributions, and a sample depends on a single random number. `Distribution` is also a type for options: pydantic reads
it from text or from a number.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

from lenskit.words import quoted

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Distribution(ABC):
    """One-dimensional distribution.

    `str(d)` is the text form, and `Distribution.parse(str(d)) == d`.
    """

    name: ClassVar[str]

    @abstractmethod
    def quantile(self, u: Tensor) -> Tensor:
        """Return the quantile: the value below which a fraction `u` of all samples lies.

        Args:
            u: float64 tensor of any shape, strictly between 0 and 1.

        Returns:
            A float64 tensor of the same shape.
        """

    @property
    @abstractmethod
    def bounds(self) -> tuple[float, float]:
        """Return the smallest and the largest possible value, infinite without a limit."""

    @staticmethod
    def parse(text: str | float | Distribution) -> Distribution:
        """Parse a distribution from its text form or from a number.

        The forms are `uniform(low, high)`, `loguniform(low, high)`, `normal(mean, std)`, `lognormal(mu, sigma)`,
        `poisson(mean)`, `choice(a, b, ...)` and a plain number.

        Raises:
            ValueError: The text has a different form; the message is one line.
        """
        if isinstance(text, Distribution):
            return text
        if isinstance(text, bool) or not isinstance(text, int | float | str):
            raise ValueError(f"{quoted(text)} is no distribution; {_FORMS}")
        if not isinstance(text, str):
            # An integer may be too large for a float.
            return Constant(float(text) if abs(text) < 2**1023 else math.inf)
        match = re.fullmatch(r"\s*(\w+)\s*\((.*)\)\s*", text)
        if match is None:
            try:
                value = float(text)
            except ValueError:
                raise ValueError(f"{quoted(text)} is no distribution; {_FORMS}") from None
            return Constant(value)
        kind = _KINDS.get(match[1])
        if kind is None:
            raise ValueError(f"unknown distribution {quoted(match[1])}; {_FORMS}")
        try:
            arguments = [float(part) for part in match[2].split(",")]
        except ValueError:
            raise ValueError(f"the arguments of {quoted(text)} are not all numbers; {_FORMS}") from None
        if kind is Choice:
            return Choice(tuple(arguments))
        if len(arguments) != len(fields(kind)):  # type: ignore[arg-type]
            names = ", ".join(f.name for f in fields(kind))  # type: ignore[arg-type]
            raise ValueError(f"{kind.name} takes ({names}), got {quoted(text)}")
        return kind(*arguments)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            Distribution.parse, serialization=core_schema.to_string_ser_schema()
        )

    def __str__(self) -> str:
        arguments = ", ".join(_text(getattr(self, f.name)) for f in fields(self))  # type: ignore[arg-type]
        return f"{self.name}({arguments})"


def _text(value: float) -> str:
    """Return the shortest text that is read as the same number."""
    return repr(float(value)).removesuffix(".0")


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class Uniform(Distribution):
    """Uniform between `low` and `high`."""

    low: float
    high: float
    name: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        _need(math.isfinite(self.high - self.low), f"{self} needs finite bounds")
        _need(self.low <= self.high, f"{self} has low > high: write uniform({self.high:g}, {self.low:g})")

    def quantile(self, u: Tensor) -> Tensor:
        return (self.low + (self.high - self.low) * u).clamp(self.low, self.high)

    @property
    def bounds(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True)
class LogUniform(Distribution):
    """Uniform in the logarithm, between `low` and `high`."""

    low: float
    high: float
    name: ClassVar[str] = "loguniform"

    def __post_init__(self) -> None:
        _need(self.low > 0 and math.isfinite(self.high), f"{self} needs finite bounds above 0")
        _need(self.low <= self.high, f"{self} has low > high: write loguniform({self.high:g}, {self.low:g})")

    def quantile(self, u: Tensor) -> Tensor:
        low, high = math.log(self.low), math.log(self.high)
        return (low + (high - low) * u).exp().clamp(self.low, self.high)

    @property
    def bounds(self) -> tuple[float, float]:
        return self.low, self.high


@dataclass(frozen=True)
class Normal(Distribution):
    """Normal with `mean` and standard deviation `std`."""

    mean: float
    std: float
    name: ClassVar[str] = "normal"

    def __post_init__(self) -> None:
        _need(math.isfinite(self.mean) and 0 <= self.std < math.inf, f"{self} needs a finite mean and a std >= 0")

    def quantile(self, u: Tensor) -> Tensor:
        from torch.special import ndtri

        return self.mean + self.std * ndtri(u)

    @property
    def bounds(self) -> tuple[float, float]:
        return (-math.inf, math.inf) if self.std else (self.mean, self.mean)


@dataclass(frozen=True)
class LogNormal(Distribution):
    """The exponential of a normal with mean `mu` and standard deviation `sigma`."""

    mu: float
    sigma: float
    name: ClassVar[str] = "lognormal"

    def __post_init__(self) -> None:
        _need(math.isfinite(self.mu) and 0 <= self.sigma < math.inf, f"{self} needs a finite mu and a sigma >= 0")
        # A normal number from 52 random bits is at most 8.2.
        _need(self.mu + 8.3 * self.sigma < 700, f"{self} gives numbers that no float can hold")

    def quantile(self, u: Tensor) -> Tensor:
        from torch.special import ndtri

        return (self.mu + self.sigma * ndtri(u)).exp()

    @property
    def bounds(self) -> tuple[float, float]:
        return (0.0, math.inf) if self.sigma else (math.exp(self.mu), math.exp(self.mu))


@dataclass(frozen=True)
class Poisson(Distribution):
    """Poisson-distributed integer with mean `mean`."""

    mean: float
    name: ClassVar[str] = "poisson"

    def __post_init__(self) -> None:
        _need(0 < self.mean <= 1e4, f"{self} needs a mean above 0 and up to 10000")

    def quantile(self, u: Tensor) -> Tensor:
        import torch

        up_to = _on_device(_poisson_sums(self.mean), u.dtype, u.device)
        return torch.searchsorted(up_to, u.contiguous()).to(u.dtype)

    @property
    def bounds(self) -> tuple[float, float]:
        return 0.0, math.inf


@lru_cache(maxsize=64)
def _poisson_sums(mean: float) -> tuple[float, ...]:
    """Return the probabilities of at most 0, 1, 2, ..., to the precision of float64."""
    import torch

    counts = torch.arange(math.ceil(mean + 12 * math.sqrt(mean) + 30), dtype=torch.float64)
    return tuple(torch.special.gammaincc(counts + 1, torch.full_like(counts, mean)).tolist())


@dataclass(frozen=True)
class Choice(Distribution):
    """One of several values with equal probability."""

    values: tuple[float, ...]
    name: ClassVar[str] = "choice"

    def __post_init__(self) -> None:
        _need(bool(self.values) and all(map(math.isfinite, self.values)), "choice needs finite values")

    def quantile(self, u: Tensor) -> Tensor:
        values = _on_device(self.values, u.dtype, u.device)
        return values[(u * len(self.values)).long().clamp(max=len(self.values) - 1)]

    @property
    def bounds(self) -> tuple[float, float]:
        return min(self.values), max(self.values)

    def __str__(self) -> str:
        return f"choice({', '.join(map(_text, self.values))})"


@dataclass(frozen=True)
class Constant(Distribution):
    """Constant value."""

    value: float
    name: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        _need(math.isfinite(self.value), f"a constant has to be finite, got {self.value}")

    def quantile(self, u: Tensor) -> Tensor:
        return u.new_full(u.shape, self.value)

    @property
    def bounds(self) -> tuple[float, float]:
        return self.value, self.value

    def __str__(self) -> str:
        return _text(self.value)


@lru_cache(maxsize=256)
def _on_device(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return numbers as a tensor, cached on the device to avoid copies."""
    import torch

    return torch.tensor(values, dtype=dtype, device=device)


_KINDS: dict[str, type[Distribution]] = {
    kind.name: kind for kind in (Uniform, LogUniform, Normal, LogNormal, Poisson, Choice)
} | {"constant": Constant}
_FORMS = (
    "write uniform(low, high), loguniform(low, high), normal(mean, std), lognormal(mu, sigma), poisson(mean), "
    "choice(a, b, ...) or a number"
)
