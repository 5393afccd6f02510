# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From my FITS folder to Einstein radii
#
# lenskit includes the encoder `hst-lens`, which measures Einstein radii of HST lenses (F814W). No training is needed.
# This notebook simulates a small folder of FITS files, because their true radii are then known. For your own files,
# begin at [Your own folder](#Your-own-folder).

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from astropy.io import fits

import lenskit

LENSES = 60

# %% [markdown]
# ## The encoder
#
# The card of an encoder states the images that it takes, the lenses on which it was trained, and its results.

# %%
encoder = lenskit.load("hst-lens")
print(encoder.card["summary"])
print("images:", encoder.card["image_shape"], "of", encoder.pixel_scale, "arcsec a pixel")
for result in encoder.card["results"]:
    print(f"{result['n']} lenses of {result['on']}: mean absolute error {result['mae']} arcsec")

# %% [markdown]
# ## A folder of FITS files
#
# The simulator draws new lenses like those of the training, on frames of 121 pixels. The header gives the pixel scale.
# The lens is in the centre.

# %%
working = tempfile.TemporaryDirectory()  # removed at the end; use a folder of your own to keep the results
folder = Path(working.name) / "my_lenses"
folder.mkdir()

scenes = encoder.card["simulator"] | {"pixels": 121}
simulator = scenes.pop("name")
names = [f"lens{number:02}" for number in range(LENSES)]
images, truth = lenskit.render({"name": names}, simulator, set=scenes, seed=2026)
for name, image in zip(names, images[:, 0], strict=True):
    fits.writeto(folder / f"{name}.fits", image, fits.Header({"PIXSCALE": encoder.pixel_scale}))

# %% [markdown]
# ## Look at the images
#
# With a scale of asinh faint arcs are visible. Black dots are pixels without data, as in real frames. lenskit fills
# them.

# %%
figure, axes = plt.subplots(1, 4, figsize=(5.6, 1.6), dpi=72, layout="constrained")
for axis, file in zip(axes, sorted(folder.glob("*.fits")), strict=False):
    image = fits.getdata(file)
    noise = np.nanstd(image[:10])
    axis.imshow(np.arcsinh(image / 3 / noise), origin="lower", cmap="magma")
    axis.set_title(file.stem, fontsize=8)
    axis.axis("off")

# %% [markdown]
# ## Predict Einstein radii
#
# This is `lenskit predict hst-lens my_lenses -o radii.csv`. lenskit reads the folder, compares the pixel scale with
# that of the encoder, fills undefined pixels, and crops the images to 101 pixels. Each row has the radius in arcsec and
# an interval. For 68 % of the lenses that are like the lenses of the training, the interval contains the true radius.

# %%
table = lenskit.evaluate("predict", "hst-lens", [folder], output=folder.parent / "radii.csv")
for row in table[:3]:
    print(row)

# %% [markdown]
# `unlike_training` is 1 for an image that is unlike the images of the training. Do not trust its radius. `level`
# selects another interval.

# %%
column = {name: np.array([float(row[name]) for row in table]) for name in table[0] if name != "name"}
predicted, low, high = column["theta_E"], column["theta_E_low"], column["theta_E_high"]
print("unlike the training images:", [row["name"] for row in table if row["unlike_training"] == "1"])

wide = lenskit.evaluate("predict", "hst-lens", [folder], output=folder.parent / "radii95.csv", level=0.95)
print("95 % interval of the first lens:", wide[0]["theta_E_low"], "to", wide[0]["theta_E_high"])

# %% [markdown]
# ## Compare with the truth

# %%
true = truth["theta_E"]
print(f"mean absolute error {np.abs(predicted - true).mean():.3f} arcsec, bias {(predicted - true).mean():+.3f} arcsec")
print(f"{((low <= true) & (true <= high)).mean():.0%} of the true radii are within the 68 % intervals")

figure, axis = plt.subplots(figsize=(4, 4), dpi=80, layout="constrained")
axis.errorbar(true, predicted, yerr=[predicted - low, high - predicted], fmt="o", ms=3, lw=0.7)
axis.axline((1, 1), slope=1, color="grey", lw=0.8)
axis.set(xlabel=r"true $\theta_E$ [arcsec]", ylabel=r"predicted $\theta_E$ [arcsec]", aspect="equal")
plt.show()

# %% [markdown]
# ## Features
#
# The encoder is a torch module from raw images to features. Use the features for your own regression, or to
# [find similar lenses](../../docs/how-to/neighbours.md).

# %%
middle = images[:, :, 10:-10, 10:-10]
features = encoder.embed(encoder.images(middle))
print(features.shape)

# %% [markdown]
# ## Your own folder
#
# ```python
# table = lenskit.evaluate("predict", "hst-lens", ["my_lenses"], output="radii.csv", rings="rings.png")
# ```
#
# - **Centre.** The lens is in the centre of each image, and the images have at least 101 pixels of 0.05".
# - **Pixel scale.** If the headers do not contain it, write `"my_lenses?pixel_scale=0.05"`. For pixels that are not
#   0.05", write `"my_lenses?resample=auto"`.
# - **Different sizes.** `"my_lenses?size=101"` crops all images to the same size.
# - **Filter and instrument.** The intervals are calibrated on simulated HST images in F814W. Of 20 real lenses of the
#   SLACS survey, 50 % are within the 68 % intervals and 90 % within the 95 % intervals.
# - **Rings.** `rings.png` shows the first images with rings at the predicted radii. Look at it before you use the
#   radii.
#
# More: [your own images](../../docs/data/own-images.md), [real lenses](../../docs/guides/real-lenses.md).
