"""What is known of a recorded parameter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Parameter:
    """A quantity that is recorded with each image, so that it can be probed, plotted and exported.

    Args:
        name: Key of its values, such as `theta_E`.
        unit: `arcsec`, `rad`, or empty for a pure number.
        symbol: How it is set in figures, such as `$\\theta_E$`.
        group: Parameter group that it is drawn in, such as `lens`.
        classes: Names of the classes, for a class label; empty for a continuous quantity.
        headline: Whether it is one of those that say whether a representation is good: a quantity that is not given
            away by something simpler in the image.
    """

    name: str
    unit: str = ""
    symbol: str = ""
    group: str = "lens"
    classes: tuple[str, ...] = ()
    headline: bool = False
