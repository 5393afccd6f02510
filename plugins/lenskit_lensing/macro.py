"""Parameters of macro models: their names and plausible ranges."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping

from lenskit.plugin import UsageError, meant

Range = tuple[float, float]

HALF_RANGES = {
    **dict.fromkeys(("center_x", "center_y", "gamma1", "gamma2"), 0.1),
    **dict.fromkeys(("e1", "e2", "light_e1", "light_e2", "source_e1", "source_e2"), 0.2),
    **dict.fromkeys(("source_dx", "source_dy"), 0.5),
    **dict.fromkeys(("source_x", "source_y"), 1.0),
}
"""Half the plausible range of a parameter in `free`; the default is half of its value."""


def check_free(free: Iterable[str], known: Collection[str]) -> None:
    """Check the names of the parameters to fit.

    Raises:
        UsageError: A name is unknown.
    """
    for name in free:
        if name not in known:
            hint = meant(name, known, f"there are {', '.join(known)}")
            raise UsageError(f"option free: unknown parameter {name!r} of the macro model; {hint}")


def fitted_ranges(ranges: Mapping[str, Range], free: Container[str]) -> dict[str, Range]:
    """Return the ranges of the parameters that vary, and of those in `free`.

    Args:
        ranges: The smallest and the largest value of each parameter; equal if all lenses have the same.
        free: Parameters to fit although all lenses have the same value, within a range around that value.
    """
    fitted = {}
    for name, (low, high) in ranges.items():
        if low < high:
            fitted[name] = (low, high)
        elif name in free:
            half = HALF_RANGES.get(name, abs(low) / 2)
            fitted[name] = (low - half, low + half)
    return fitted
