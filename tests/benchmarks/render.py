"""Milliseconds an image of the fast renderer and of lenstronomy, on one thread, in one process.

    python tests/benchmarks/render.py [--lenses 192]

Scenes of the simulator `hst` with its defaults: 110 x 110 pixels, power law with |e| up to .71 and shear, core-Sersic
sources, Sersic lens light averaged around its centre, the bundled PSFs of 41 x 41 pixels. What is compared is the
noise-free arc and lens light after the PSF; drawing the scenes and composing the image are timed apart. Times are the
process's own, the best of several rounds in which both renderers alternate: other processes then matter little.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from lenskit_lensing.hst import HST, normalised

BATCHES = (8, 16, 64)
ROUNDS = 5


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def rows(scene: dict[str, torch.Tensor], batch: int) -> list[dict[str, torch.Tensor]]:
    """A scene in batches."""
    n = len(scene["theta_E"])
    return [{name: values[i : i + batch] for name, values in scene.items()} for i in range(0, n, batch)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lenses", type=int, default=192, help="images to render")
    n = parser.parse_args().lenses

    torch.set_num_threads(1)
    fast, reference = HST(), HST(renderer="lenstronomy")
    scene = fast.scene(0, "benchmark", torch.arange(n))
    exact = {name: values.double() if values.is_floating_point() else values for name, values in scene.items()}
    parts = {batch: rows(scene, batch) for batch in BATCHES}
    works: dict[str, Callable[[], object]] = {
        f"torch float32, batch {batch}": lambda batch=batch: [fast.renderer(part) for part in parts[batch]]
        for batch in BATCHES
    }
    works["lenstronomy, EPL"] = lambda: reference.renderer(exact)
    works["drawing, batch 64"] = lambda: [fast.scene(0, "benchmark", part) for part in torch.arange(n).split(64)]
    works["all of it, torch, batch 64"] = lambda: [
        fast.render(fast.scene(0, "benchmark", part)) for part in torch.arange(n).split(64)
    ]

    for work in works.values():
        work()
    best = dict.fromkeys(works, float("inf"))
    for _ in range(ROUNDS):
        for name, work in works.items():
            best[name] = min(best[name], seconds(work))
    for name, total in best.items():
        print(f"{name:28s} {total / n * 1e3:7.3f} ms/image")
    quickest = min(best[name] for name in best if name.startswith("torch"))
    print(f"{'lenstronomy / torch':28s} {best['lenstronomy, EPL'] / quickest:7.1f}")

    pairs = zip(("arc", "lens light"), fast.renderer(scene), reference.renderer(exact), strict=True)
    for name, ours, theirs in pairs:
        difference = (normalised(ours.double()) - normalised(theirs)).abs().max().item()
        print(f"{'largest difference, ' + name:28s} {difference:.1e} of the peak")


if __name__ == "__main__":
    main()
