"""Errors of the arc after the PSF, and cost, for each setting of `supersampling`.

    python tests/benchmarks/supersampling.py [--lenses 64] [--cosmos FOLDER]

The reference has 16 x 16 rays in every pixel, and the lenses are drawn from the prior of LenSiam. The benchmark prints
the error of the maximum of the arc, which normalises the images, and the largest difference in any pixel. Both are in
percent of the maximum, as median and 95th percentile over the lenses.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor

from lenskit_lensing.render.supersampling import Rays
from lenskit_lensing.simulators.hst import HST

SETTINGS: tuple[Rays, ...] = (1, 2, 3, 4, 8, "adaptive")
BATCH = 4
"""Lenses per batch; the reference with 16 x 16 rays takes a gigabyte."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lenses", type=int, default=64)
    parser.add_argument("--cosmos", help="folder of a COSMOS catalogue, whose galaxies replace all sources")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    simulator = HST(cosmos=arguments.cosmos, cosmos_fraction=1.0)
    renderer, n = simulator.renderer, arguments.lenses
    parts = [simulator.scene(0, "benchmark", index) for index in torch.arange(n).split(BATCH)]

    def arcs(rays: Rays) -> tuple[Tensor, float]:
        renderer.supersampling = rays
        renderer.arc(parts[0])
        start = time.process_time()
        found = [renderer.arc(part) for part in parts]
        taken = (time.process_time() - start) / n * 1e3
        blurred = [renderer.convolve(arc[:, None], part["psf"]) for arc, part in zip(found, parts, strict=True)]
        return torch.cat(blurred)[:, 0].double(), taken

    exact, _ = arcs(16)
    peak = exact.amax((1, 2))
    print(f"{n} {'COSMOS' if arguments.cosmos else 'core-Sersic'} sources")
    print(
        f"{'rays':>10s}  {'maximum: median':>15s} {'95 %':>7s}  {'anywhere: median':>16s} {'95 %':>7s}  {'arc, ms':>8s}"
    )
    for rays in SETTINGS:
        found, taken = arcs(rays)
        maximum = (found.amax((1, 2)) / peak - 1).abs() * 100
        anywhere = (found - exact).abs().amax((1, 2)) / peak * 100
        columns = [float(error.quantile(q)) for error in (maximum, anywhere) for q in (0.5, 0.95)]
        print(
            f"{rays!s:>10s}  {columns[0]:15.3f} {columns[1]:7.3f}  {columns[2]:16.3f} {columns[3]:7.3f}  {taken:8.2f}"
        )


if __name__ == "__main__":
    main()
