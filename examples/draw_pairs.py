"""Draws what two pair strategies make of the same lenses of the quickstart: the picture in the README.

Run as `python examples/draw_pairs.py [docs/pairs.png]`.
"""

from __future__ import annotations

import sys

import torch
from matplotlib.figure import Figure

from lenskit.config import Config, read_recipe
from lenskit.data.preprocess import Preprocess
from lenskit.data.source import LiveSource

LENSES = (1, 2, 4)
"""Addresses of the lenses shown."""

TITLES = {
    "lens-fixed": "lens-fixed: the same lens, everything else drawn anew",
    "default": "default: the same image, cropped, flipped, jittered, blurred",
}


def main() -> None:
    """Draws the picture."""
    path = sys.argv[1] if len(sys.argv) > 1 else "docs/pairs.png"
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    halves = figure.subfigures(1, 2, wspace=0.06)
    for half, (name, title) in zip(halves, TITLES.items(), strict=True):
        config = Config.resolve(read_recipe("quickstart"), {"pairs": {"name": name}})
        source = LiveSource(config.build("simulator"), config.build("pairs"), Preprocess(), seed=1)
        batch = source.batch({"index": torch.tensor(LENSES)})
        half.suptitle(title, fontsize=12)
        panels = half.subplots(2, len(LENSES))
        for row, view in enumerate(batch.views):
            for column, image in enumerate(view[:, 0]):
                panel = panels[row, column]
                panel.imshow(image, origin="lower", cmap="magma")
                panel.set_xticks([])
                panel.set_yticks([])
                if row == 0:
                    theta_E = float(batch.parameters["theta_E"][column, 0])
                    panel.set_title(rf"$\theta_E = {theta_E:.2f}''$", fontsize=10)
            panels[row, 0].set_ylabel(f"view {row + 1}")
    figure.savefig(path, dpi=80)
    print(path)


if __name__ == "__main__":
    main()
