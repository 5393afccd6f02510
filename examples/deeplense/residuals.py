"""Plot the residuals of fitted lenses, with and without substructure.

    python examples/deeplense/residuals.py runs/refit-a --out docs/results/refit-residuals.png

The plot shows ten lenses of the run's simulator, each without substructure, with subhalos and with a vortex. Below each
image are the binned residual of the fit, divided by the standard deviation, and the chi-square, which is the score. An
exclamation mark denotes a fit that did not converge.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure
from torch.nn.functional import avg_pool2d

import lenskit
from lenskit_deeplense.refit.method import Refit
from lenskit_deeplense.refit.residuals import estimated_variance

CLASSES = ("none", "spherical", "vortex")
LENSES = 10
MOST = 6
"""Limit of the colour scale in standard deviations."""


def main() -> None:
    """Fit the lenses, and write the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a run of method refit")
    parser.add_argument("--out", type=Path, required=True, help="image to write")
    parser.add_argument("--seed", type=int, default=7, help="seed of the lenses")
    arguments = parser.parse_args()
    run = lenskit.load(arguments.run)
    method = run.method()
    if not isinstance(method, Refit):
        parser.error(f"{arguments.run} is not a run of method refit")
    encoder = run.encoder()
    figure = Figure(figsize=(1.5 * LENSES, 3.2 * len(CLASSES)), layout="constrained")
    axes = figure.subplots(2 * len(CLASSES), LENSES)
    for k, name in enumerate(CLASSES):
        simulator = run.simulator(classes=[name])
        scene = simulator.scene(arguments.seed, "figure", torch.arange(LENSES))
        images = encoder.prepare(simulator.render(scene))
        found, scores = method.fit(images), method.score(images)
        light = found.light.sum(1)
        residual = images[:, 0] - found.image
        known = method.model.noise_is_known
        variance = method.model.variance(light) if known else estimated_variance(residual, light)
        binned = avg_pool2d((residual / variance.sqrt())[:, None], method.bin)[:, 0] * method.bin
        for i in range(LENSES):
            above, below = axes[2 * k, i], axes[2 * k + 1, i]
            above.imshow(images[i, 0], origin="lower", vmin=0, vmax=0.6, cmap="magma")
            below.imshow(binned[i], origin="lower", vmin=-MOST, vmax=MOST, cmap="RdBu_r")
            below.set_title(f"{scores[i]:.2f}{'' if found.converged[i] else ' !'}", fontsize=9)
            for each in (above, below):
                each.set(xticks=[], yticks=[])
        axes[2 * k, 0].set_ylabel(name)
        axes[2 * k + 1, 0].set_ylabel("residual / sigma")
    figure.savefig(arguments.out, dpi=70)
    print(arguments.out)


if __name__ == "__main__":
    main()
