"""The few images that are shown beside what detectors make of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

EACH = 3
"""Images of each class that are shown."""


@dataclass(frozen=True)
class Shown:
    """Some of the images judged on, as each detector that reconstructs is given them, and what it makes of them.

    Attributes:
        rows: (m,) which of the images judged on these are, class by class.
        classes: (m,) the name of each one's class.
        images: For each such detector, (m, C, H, W).
        reconstructions: For each such detector, (m, C, H, W), on the same scale.
    """

    rows: NDArray[np.int64]
    classes: tuple[str, ...]
    images: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    reconstructions: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
