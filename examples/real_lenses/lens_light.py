"""Plot lenses with and without the smooth light of the lens galaxy.

The images are plotted as a network gets them.

    python examples/real_lenses/lens_light.py slacs -o lens-light.png --lenses J0946+1006 J1106+5228

Each column shows a lens with three inputs, from top to bottom: the image (`asinh`), the image minus a blurred copy
(`unsharp`), and the image minus a model of elliptical isophotes (`multipole`). All inputs are divided by three times
the noise and stretched by asinh. The path has the same form as for `lenskit train --data`.
"""

from __future__ import annotations

import argparse
import sys

from matplotlib.figure import Figure

import lenskit
from lenskit.data.readers import open_dataset
from lenskit.preprocessing.preprocess import Preprocess

ROWS = ("asinh", "unsharp", "multipole")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="images, [READER:]PATH")
    parser.add_argument("-o", "--output", default="lens-light.png")
    parser.add_argument("--lenses", nargs="+", help="names of lenses; by default the first six")
    parser.add_argument("--size", type=int, default=101, help="height and width of the central crop, in pixels")
    parser.add_argument("--unsharp-scale", type=float, default=0.25, help="width of the blur, in arcsec")
    arguments = parser.parse_args()
    dataset = open_dataset(arguments.data, size=arguments.size)
    names = arguments.lenses or list(dataset.names[:6])
    if unknown := [name for name in names if name not in dataset.names]:
        sys.exit(f"Error: {arguments.data} has no {', '.join(unknown)}; it has {', '.join(dataset.names[:5])}, ...")
    images, _ = dataset.read([dataset.names.index(name) for name in names])
    images = images[:, 0, :1]
    figure = Figure(figsize=(2 * len(names), 2.1 * len(ROWS)), layout="constrained")
    axes = figure.subplots(len(ROWS), len(names), squeeze=False)
    for row, stretch in zip(axes, ROWS, strict=True):
        preprocess = Preprocess(stretch, unsharp_scale=(arguments.unsharp_scale,), pixel_scale=dataset.pixel_scale)
        row[0].set_ylabel(stretch)
        for panel, image in zip(row, preprocess(images)[:, 0], strict=True):
            limits = {} if stretch == "asinh" else {"vmin": -1, "vmax": 2}
            panel.imshow(image, origin="lower", cmap="inferno", **limits)
            panel.set(xticks=[], yticks=[])
    for panel, name in zip(axes[0], names, strict=True):
        panel.set_title(name, fontsize=9)
    figure.savefig(arguments.output, dpi=90)


if __name__ == "__main__":
    try:
        main()
    except lenskit.LenskitError as error:
        sys.exit(f"Error: {error}")
