"""Cut galaxies out of the Hubble eXtreme Deep Field (XDF), as lensed sources.

    pip install scikit-image                    (includes the picture: NASA, ESA, G. Illingworth and others)
    python examples/hubble_deep_field.py [hubble_galaxies] [--image PICTURE]

The script writes a folder of stamps for any simulation, as in `lenskit train --set simulator.stamps=hubble_galaxies`.
It also writes `hubble_galaxies.png`, a plot of some galaxies before and after lensing. The picture of the XDF has a
display stretch, so pixel values are not proportional to flux. Use the script as a template for your own calibrated
images.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray
from scipy import ndimage

from lenskit_lensing.simulators.hst import HST

Image = NDArray[np.float64]

SMOOTHING = 1.5  # pixels
THRESHOLD = 8.0  # standard deviations of the smoothed sky
BORDERS = 2.2  # size of a stamp divided by the size of the galaxy, so that the stamp includes sky
LEAST_AREA = 60  # pixels; smaller objects look like the PSF of the telescope
SMALLEST, LARGEST = 32, 160  # pixels per side
SATURATED = 0.99  # share of the maximum of the image; brighter objects are stars or galaxies with saturated cores

SHOWN = 6


def main() -> None:
    """Cut out the galaxies, save them, and plot lenses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default="hubble_galaxies", help="folder for the stamps")
    parser.add_argument("--image", help="another picture, in any format that matplotlib reads")
    arguments = parser.parse_args()

    stamps = cut_out(brightness(arguments.image))
    folder = Path(arguments.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for number, stamp in enumerate(stamps):
        np.save(folder / f"galaxy_{number:03d}.npy", stamp.astype(np.float32))
    print(f"{len(stamps)} galaxies in {folder}")

    simulator = HST(stamps=str(folder), cosmos_fraction=1.0, log_light_to_arc=-0.1)
    picture = folder.with_suffix(".png")
    draw(stamps, simulator).savefig(picture, dpi=80)
    print(picture)


def brightness(path: str | None) -> Image:
    """Return the sum of the colour channels of a picture (height, width)."""
    if path is None:
        from skimage.data import hubble_deep_field

        picture = hubble_deep_field()
    else:
        picture = imread(path)
    picture = np.asarray(picture, dtype=np.float64)
    return picture[..., :3].sum(2) if picture.ndim == 3 else picture


def cut_out(image: Image) -> list[Image]:
    """Return stamps of the galaxies in an image, the brightest first.

    Each stamp is centred on a galaxy. The stamps include neighbours and sky, which lenskit removes when it reads the
    stamps.
    """
    smooth = ndimage.gaussian_filter(image, SMOOTHING)
    sky = np.median(smooth)
    sigma = 1.4826 * np.median(np.abs(smooth - sky))
    objects, _ = ndimage.label(smooth > sky + THRESHOLD * sigma)
    found = []
    for number, place in enumerate(ndimage.find_objects(objects), start=1):
        pixels = objects[place] == number
        light = np.where(pixels, image[place] - sky, 0)
        if pixels.sum() < LEAST_AREA or image[place][pixels].max() > SATURATED * image.max():
            continue
        middle = [round(side.start + at) for side, at in zip(place, ndimage.center_of_mass(light), strict=True)]
        extent = max(side.stop - side.start for side in place)
        half = round(max(BORDERS * extent, SMALLEST) / 2)
        top, left = (at - half for at in middle)
        stamp = image[max(top, 0) : top + 2 * half, max(left, 0) : left + 2 * half]
        # Skip stamps that extend beyond the border of the image, or that contain blended galaxies.
        if stamp.shape == (2 * half, 2 * half) and 2 * half <= LARGEST:
            found.append((light.sum(), stamp))
    return [stamp for _, stamp in sorted(found, key=lambda pair: -pair[0])]


def draw(stamps: list[Image], simulator: HST) -> Figure:
    """Plot stamps before and after the preparation by lenskit, and as lensed sources."""
    galaxies = simulator.sources.stamps
    assert galaxies is not None
    chosen = torch.linspace(0, len(galaxies.images) // 2, SHOWN).long()  # from the brighter half
    scene = simulator.scene(0, "example", torch.arange(SHOWN))
    scene["source_stamp_scale"] *= galaxies.half_light[scene["source_stamp"]] / galaxies.half_light[chosen]
    scene["source_amplitude"] = 1 / (galaxies.flux[chosen] * scene["source_stamp_scale"] ** 2)
    scene["source_stamp"] = chosen
    scene["companion_flux"] = torch.zeros(SHOWN)
    lenses = simulator.render(scene, omit={"lens_light"})[:, 0]

    figure = Figure(figsize=(2 * SHOWN, 6.4), layout="constrained")
    rows = {
        "cut out": [stamps[row] for row in galaxies.rows[chosen].tolist()],
        "prepared": list(galaxies.images[chosen].float().numpy()),
        "lensed": list(lenses.numpy()),
    }
    for panels, (name, images) in zip(figure.subplots(len(rows), SHOWN), rows.items(), strict=True):
        panels[0].set_ylabel(name, fontsize=12)
        for panel, image in zip(panels, images, strict=True):
            panel.imshow(image, origin="lower", cmap="magma")
            panel.set_xticks([])
            panel.set_yticks([])
    return figure


if __name__ == "__main__":
    main()
