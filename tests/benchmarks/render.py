"""Speed of simulation compared with lenstronomy and caustics, on one thread.

    python tests/benchmarks/render.py [--lenses 96] [--rounds 7]
    LENSKIT_COMPILE=1 python tests/benchmarks/render.py     # with torch.compile
    python tests/benchmarks/render.py --device cuda         # lenskit alone, images per second

The scenes are those of LenSiam, the defaults of `hst`: 110 x 110 pixels, power law with |e| up to 0.71 and shear,
core-Sersic sources, Sersic lens light averaged around its centre, PSFs of 41 x 41 pixels, white noise. caustics has no
core-Sersic profile and no averages. For the comparison with caustics, all sources are therefore single Sersic profiles,
and the lens light of caustics is sampled once per pixel. caustics renders batches with `torch.vmap`, on a frame with a
margin of half a PSF, and without the margin for comparison. lenstronomy uses its ImageModel, which is made once per
PSF.

All code runs in one process, and times are the CPU time of this process. Each row is timed in each round, and the
fastest round counts. Other processes then have little effect, especially on the ratios.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lenskit.plugin import KeyedGenerator, Scene
from lenskit_lensing.mass import epl_terms
from lenskit_lensing.mass.power_law import TOLERANCE
from lenskit_lensing.render.compiled import VARIABLE
from lenskit_lensing.simulators.hst import HST, normalised

BATCH = 32
LARGEST = math.hypot(0.5, 0.5)
Work = Callable[[], object]


def rows(scene: Scene, batch: int) -> list[dict[str, Tensor]]:
    """Split a scene into batches."""
    n = len(scene["theta_E"])
    return [{name: values[i : i + batch] for name, values in scene.items()} for i in range(0, n, batch)]


def to_double(scene: Scene) -> dict[str, Tensor]:
    return {name: values.double() if values.is_floating_point() else values for name, values in scene.items()}


def single_sersic(scene: Scene) -> dict[str, Tensor]:
    """Return the same scenes with a Sersic profile (no core) for each source."""
    nothing = torch.zeros_like(scene["theta_E"])
    return {**scene, "source_Rb": nothing, "source_core_slope": nothing, "companion_flux": nothing}


def fastest(works: dict[str, Work], rounds: int) -> dict[str, float]:
    """Return the seconds of CPU time."""
    for work in works.values():
        work()
    best = dict.fromkeys(works, math.inf)
    for _ in range(rounds):
        for name, work in works.items():
            start = time.process_time()
            work()
            best[name] = min(best[name], time.process_time() - start)
    return best


COSTS = {"log": 20, "exp": 20, "cos": 20, "sqrt": 8, "rsqrt": 8, "div": 4, "reciprocal": 4}
"""Approximate operations per element; other functions count as one, and a Fourier transform as 5 n log2(n)."""


class Count(TorchDispatchMode):
    """Counter of operations, and of bytes of their inputs and outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.flop, self.bytes = 0, 0.0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not isinstance(out, Tensor) or (out.numel() and out._is_view() and not func._schema.is_mutable):
            return out
        name = func.overloadpacket.__name__.strip("_")
        size = out.numel()
        if name.startswith("fft"):
            side = max(out.shape[-2:])
            self.flop += 5 * size * 2 * math.log2(side)
        else:
            self.flop += size * COSTS.get(name, 1) * (2 if name.startswith("addc") else 1)
        tensors = [part for part in (*args, out) if isinstance(part, Tensor)]
        self.bytes += sum(part.numel() * part.element_size() for part in tensors)
        self.calls += 1
        return out


def floor(renderer: Any, part: Scene, milliseconds: float) -> str:
    """Return a comparison of the time of an image with lower limits.

    The limits follow from its arithmetic operations and from its memory traffic.
    """
    with Count() as count:
        renderer(part)
    a, b, c = (torch.rand(768, 768) for _ in range(3))
    x, y = torch.rand(2, BATCH, 110, 110)
    best = fastest({"multiply": lambda: torch.mm(a, b, out=c), "copy": lambda: y.copy_(x)}, 20)
    peak, bandwidth = 2 * 768**3 / best["multiply"], 2 * x.numel() * 4 / best["copy"]
    n = len(part["theta_E"])
    flop, moved = count.flop / n, count.bytes / n
    arithmetic, memory = flop / peak * 1e3, moved / bandwidth * 1e3
    return (
        f"floor: {flop / 1e6:.1f} Mflop an image, {arithmetic:.3f} ms at the {peak / 1e9:.0f} Gflop/s of a matrix "
        f"product: {milliseconds / arithmetic:.1f} times that\n"
        f"       {moved / 1e6:.1f} MB an image in and out of {count.calls} operations, {memory:.3f} ms at the "
        f"{bandwidth / 1e9:.0f} GB/s of copying such a batch: {milliseconds / memory:.1f} times that"
    )


class Caustics:
    """Power law, shear and Sersic profiles of caustics.

    Args:
        psfs: (k, s, s).
        terms: Number of terms in the series of the power law.
        margin: Whether the LensSource of caustics applies the PSF, on a frame that is wider by half a PSF on each side.
            Otherwise its profiles are evaluated on the frame without a margin, and the PSF is applied in the same way.
    """

    def __init__(self, psfs: Tensor, terms: int, margin: bool) -> None:
        import caustics

        known = {"z_l": 0.5, "z_s": 1.0}
        cosmology = caustics.FlatLambdaCDM(name="cosmology")
        mass = caustics.EPL(cosmology, **known, n_iter=terms, chunk_size=1, name="mass")
        shear = caustics.ExternalShear(cosmology, **known, x0=0.0, y0=0.0, name="shear")
        source = caustics.Sersic(use_lenstronomy_k=True, name="source")
        light = caustics.Sersic(use_lenstronomy_k=True, Ie=1.0, name="light")
        lens = caustics.SinglePlane(cosmology, lenses=[mass, shear], **known, name="lens")
        psf = {"psf": None, "psf_shape": psfs.shape[1:]} if margin else {}
        self.arc, self.light = (caustics.LensSource(lens, galaxy, 0.05, 110, **psf) for galaxy in (source, light))
        self.psfs, self.margin = psfs, margin

    def __call__(self, scene: Scene) -> Tensor:
        """Return arc and lens light (n, 2, 110, 110)."""

        def axes(name: str) -> list[Tensor]:
            """Return the axis ratio and the position angle."""
            e1, e2 = scene[f"{name}e1"], scene[f"{name}e2"]
            e = torch.hypot(e1, e2)
            return [(1 - e) / (1 + e), torch.atan2(e2, e1) / 2]

        def sersic(name: str, n: str) -> list[Tensor]:
            """Return Sersic parameters of caustics, whose radius is along the major axis."""
            q, phi = axes(name)
            return [scene[f"{name}x"], scene[f"{name}y"], q, phi, scene[n], scene[f"{name}R_sersic"] / q.sqrt()]

        mass = [scene["center_x"], scene["center_y"], *axes(""), scene["theta_E"], scene["gamma"] - 1]
        shear = [scene["gamma1"], scene["gamma2"]]
        source = [*sersic("source_", "source_n"), scene["source_amplitude"]]
        light = sersic("light_", "light_n")
        parameters = [torch.stack([*mass, *shear, *galaxy], dim=1) for galaxy in (source, light)]
        psfs = self.psfs[scene["psf"]]
        if self.margin:
            parameters = [torch.cat([psfs.flatten(1), part], dim=1) for part in parameters]

        def one(arc: Tensor, light: Tensor) -> Tensor:
            return torch.stack([self.arc(arc), self.light(light, lens_source=False)])

        images = torch.vmap(one)(*parameters)
        if self.margin:
            return images
        size, margin = 150, self.psfs.shape[-1] // 2
        spectrum = torch.fft.rfft2(images, s=(size, size))
        spectrum *= torch.fft.rfft2(psfs, s=(size, size))[:, None]
        frame = slice(margin, margin + 110)
        return torch.fft.irfft2(spectrum, s=(size, size))[..., frame, frame]


def lenstronomy(profile: str) -> HST:
    """Return the reference with a power-law implementation of lenstronomy."""
    from lenstronomy.LensModel.lens_model import LensModel

    simulator = HST(renderer="lenstronomy")
    simulator.renderer._lens = LensModel([profile, "SHEAR"])
    return simulator


def difference(ours: Tensor, theirs: Tensor, margin: int = 0) -> float:
    """Return the largest difference relative to the peak of each image."""
    inner = slice(margin, ours.shape[-1] - margin)
    apart = (normalised(ours.double()) - normalised(theirs.double())).abs()
    return float(apart[:, inner, inner].max())


def on_one_thread(lenses: int, rounds: int) -> None:
    torch.set_num_threads(1)
    fast, exact, numba = HST(), lenstronomy("EPL"), lenstronomy("EPL_NUMBA")
    index = torch.arange(lenses)
    scene = fast.scene(0, "benchmark", index)
    simple = single_sersic(scene)
    few = {name: values[: lenses // 4] for name, values in scene.items()}
    few_simple, terms = single_sersic(few), epl_terms(LARGEST, TOLERANCE[torch.float32])
    caustics, bare = (Caustics(fast.renderer.convolve.psfs, terms, margin) for margin in (True, False))
    noise = [KeyedGenerator(0, "benchmark", "instrument", part, 0 * part) for part in index.split(BATCH)]

    works: dict[str, tuple[int, Work]] = {
        "lenskit": (lenses, lambda: [fast.renderer(part) for part in rows(scene, BATCH)]),
        "lenskit, Sersic sources": (lenses, lambda: [fast.renderer(part) for part in rows(simple, BATCH)]),
        "lenskit, arc before the PSF": (lenses, lambda: [fast.renderer.arc(part) for part in rows(scene, BATCH)]),
        "lenskit, lens light before": (lenses, lambda: [fast.renderer.lens_light(part) for part in rows(scene, BATCH)]),
        "noise": (lenses, lambda: [rng.noise("noise", 110, 110) for rng in noise]),
        "lenskit, composed": (lenses, lambda: [fast.render(part) for part in rows(scene, BATCH)]),
        "drawing all, noise included": (lenses, lambda: [fast.scene(0, "benchmark", p) for p in index.split(64)]),
        "lenstronomy EPL": (lenses // 4, lambda: exact.renderer(to_double(few))),
        "lenstronomy EPL_NUMBA": (lenses // 4, lambda: numba.renderer(to_double(few))),
        "lenstronomy EPL, composed": (lenses // 4, lambda: exact.render(to_double(few))),
        "caustics, Sersic sources": (lenses, lambda: [caustics(part) for part in rows(simple, BATCH)]),
        "caustics without its margin": (lenses, lambda: [bare(part) for part in rows(simple, BATCH)]),
    }
    best = fastest({name: work for name, (_, work) in works.items()}, rounds)
    cost = {name: best[name] / n * 1e3 for name, (n, _) in works.items()}
    for name, milliseconds in cost.items():
        print(f"{name:32s} {milliseconds:7.3f} ms/image")

    whole = cost["lenskit, composed"] + cost["noise"]
    print("\nratios, rendered light: arc and lens light after the PSF")
    for name in ("lenstronomy EPL", "lenstronomy EPL_NUMBA"):
        print(f"{name + ' / lenskit':42s} {cost[name] / cost['lenskit']:6.1f}")
    for name in ("caustics, Sersic sources", "caustics without its margin"):
        print(f"{name + ' / lenskit':42s} {cost[name] / cost['lenskit, Sersic sources']:6.1f}")
    print("ratios, images with noise, for given parameters; the same noise is charged to both")
    for name in ("lenstronomy EPL", "lenstronomy EPL_NUMBA"):
        compose = cost["lenstronomy EPL, composed"] - cost["lenstronomy EPL"]
        print(f"{name + ' / lenskit':42s} {(cost[name] + compose + cost['noise']) / whole:6.1f}")

    print("\nlargest difference from lenstronomy's EPL, of each image's peak (caustics: more than 20 pixels inside)")
    reference, reference_simple = (exact.renderer(to_double(part)) for part in (few, few_simple))
    for name, found, right, margin in (
        ("lenskit", fast.renderer(few), reference, 0),
        ("lenskit, Sersic sources", fast.renderer(few_simple), reference_simple, 0),
        ("lenstronomy EPL_NUMBA", numba.renderer(to_double(few)), reference, 0),
        (f"caustics, {terms} terms", caustics(few_simple).unbind(1), reference_simple, 20),
    ):
        arc, light = (difference(ours, theirs, margin) for ours, theirs in zip(found, right, strict=True))
        print(f"{name:32s} arc {arc:.1e}   lens light {light:.1e}")
    print("\n" + floor(fast.renderer, rows(scene, BATCH)[0], cost["lenskit"]))


def on_device(device: str, rounds: int) -> None:
    """Print the images per second of lenskit alone."""
    simulator = HST()
    for batch in (256, 1024, 4096):
        index = torch.arange(batch, device=device)
        scene = simulator.scene(0, "benchmark", index)
        works: dict[str, Work] = {
            "light": lambda scene=scene: simulator.renderer(scene),
            "composed": lambda scene=scene: simulator.render(scene),
            "drawn": lambda index=index: simulator.scene(0, "benchmark", index),
            "drawn and composed": lambda index=index: simulator.render(simulator.scene(0, "benchmark", index)),
        }
        for name, work in works.items():
            taken = []
            for _ in range(rounds + 2):
                torch.cuda.synchronize()
                start = time.perf_counter()
                work()
                torch.cuda.synchronize()
                taken.append(time.perf_counter() - start)
            print(f"batch {batch:5d}  {name:20s} {batch / min(taken):12,.0f} images/s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lenses", type=int, default=96, help="images to render")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {VARIABLE}={os.environ.get(VARIABLE, '')}")
    if arguments.device == "cpu":
        on_one_thread(arguments.lenses, arguments.rounds)
    else:
        on_device(arguments.device, arguments.rounds)


if __name__ == "__main__":
    main()
