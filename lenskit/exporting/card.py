"""Model card of an exported encoder: a README.md for the Hugging Face Hub."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from lenskit.config import Config
from lenskit.encoder import Encoder
from lenskit.preprocessing import lens_light, robust, zscale
from lenskit.preprocessing.preprocess import PHOTOGRAPHS, REMOVES_LIGHT
from lenskit.preprocessing.robust import MAD_TO_SIGMA
from lenskit.published import without_absolute_paths, without_folders
from lenskit.run import Run
from lenskit.version import __version__
from lenskit.words import as_markdown, escaped


@dataclass(frozen=True)
class Facts:
    """Facts about an encoder and its run, for the model card.

    Attributes:
        name: Name of the encoder.
        config: The run's configuration as TOML, without the folders of paths; empty if there is no run.
        probe: The table of `lenskit probe`, without absolute paths; empty if there is none.
        figures: Last value of each metric of the run; None if there is no run.
    """

    name: str
    config: str = ""
    probe: str = ""
    figures: Mapping[str, Any] | None = None

    @classmethod
    def of_run(cls, run: Run) -> Facts:
        table = run.path / "evaluations" / ("best" if run.best else "") / "probe" / "table.md"
        probe = table.read_text(encoding="utf-8") if table.is_file() else ""
        figures = {name: values[-1] for name, values in run.metrics.items()}
        config = Config(without_folders(run.config.sections)).to_toml()
        return cls(run.name, config, without_absolute_paths(probe), figures)


def readme(
    encoder: Encoder,
    facts: Facts,
    library: str,
    *,
    architecture: str = "",
    changes: Sequence[str] = (),
    args: Mapping[str, Any] | None = None,
) -> str:
    """Return the text of the model card.

    Args:
        encoder: The encoder.
        facts: Facts about the encoder and its run.
        library: `timm` or `onnx`.
        architecture: Name of the model in timm.
        changes: Lines of Python that turn timm's `model` into the network.
        args: Arguments of `timm.create_model`.
    """
    use = _timm(encoder, architecture, changes, args or {}) if library == "timm" else _onnx()
    channels, height, width = encoder.fixed_shape
    card = encoder.card
    method, pairs = (_code(card.get(kind, "unknown")) for kind in ("method", "pairs"))
    # The owner chooses a licence. The Hub expects it in the front matter.
    parts = [
        f"---\nlibrary_name: {library}\ntags:\n- image-feature-extraction\n- {library}\n- lenskit\n- astronomy\n"
        "- gravitational-lensing\n- self-supervised-learning\n# license: yours to choose, such as mit\n---\n",
        f"# {as_markdown(facts.name)}\n",
        f"Encoder of strong-gravitational-lens images. It turns images of {channels} x {height} x {width} pixels into "
        f"{encoder.features} features. The backbone is {_code(card['backbone']['name'])}. It was trained with the "
        f"method {method} on {pairs} pairs by lenskit {__version__}.\n",
        f"## Images\n\n{_words(encoder)}\n",
        f"## Use\n\n{use}",
        _lenskit(library),
    ]
    if facts.probe:
        parts.append(f"## Evaluation\n\n{_demoted(facts.probe)}\n")
    if facts.figures:
        parts.append(
            f"## Training\n\nLast metrics of the run:\n\n```json\n{json.dumps(dict(facts.figures), indent=1)}\n```\n"
        )
    if facts.config:
        parts.append(
            "Configuration of the run, which `lenskit train --config FILE` repeats. Paths are reduced to the names of "
            f"files and folders: replace them by your paths.\n\n```toml\n{facts.config}```\n"
        )
    return "\n".join(parts)


def _code(name: object) -> str:
    """Return a name as Markdown code; special characters are escaped."""
    plain = escaped(str(name)).replace("`", "'")
    return f"`{plain}`"


def _words(encoder: Encoder) -> str:
    """Return a description of the preprocessing of images."""
    channels, height, _ = encoder.fixed_shape
    shape = encoder.preprocess.shape(encoder.fixed_shape)
    words = {
        "asinh": "Each channel is stretched to asinh(x / 3 sigma), where sigma, its noise, is "
        f"{MAD_TO_SIGMA} times the median absolute deviation of its border, one pixel wide. An image may have any "
        "unit, but its background must be zero.",
        "zscale": "Each channel is scaled with the zscale algorithm of IRAF (astropy's ZScaleInterval with its "
        "defaults): values between the limits are mapped to 0 to 1, other values are clipped. An image may have any "
        "unit.",
        "linear": "Pixels are not stretched. They must have the unit of the training images.",
        "imagenet": "Each image is divided by its maximum, then each channel is standardised: means "
        f"{', '.join(map(str, PHOTOGRAPHS[0]))}, deviations {', '.join(map(str, PHOTOGRAPHS[1]))}.",
        "unsharp": "Copies blurred by Gaussians with standard deviations of "
        f"{', '.join(f'{blur:.4g}' for blur in encoder.preprocess.blurs)} pixels are subtracted from each channel. The "
        "network sees asinh(x / 3 sigma) of the residuals, where sigma is the noise of the pixel. An image may have "
        "any unit.",
        "multipole": "A model of the galaxy in the middle, elliptical isophotes with m = 2 and 4, is subtracted from "
        "each channel. The network sees asinh(x / 3 sigma) of the residuals, where sigma is the noise of the pixel. An "
        "image may have any unit.",
    }
    stretches = encoder.preprocess.stretches
    stretched = " ".join(words[stretch] for stretch in stretches)
    if len(stretches) > 1:
        stretched = f"The network sees these channels, in this order: {', '.join(stretches)}. {stretched}"
    text = f"Images are float32, (n, {channels}, {height}, {height}). {stretched}"
    if shape[1] != height:
        text += f" The image is then resized to {shape[1]} x {shape[1]} pixels (bilinear, antialiased)."
    if shape[0] != channels:
        text += f" The single channel is repeated {shape[0]} times."
    return (
        text
        + {
            "none": "",
            "peak": " Finally each image is divided by its maximum over all channels.",
            "standard": " Finally the mean of each image over all channels is subtracted, and the image is divided by "
            "its standard deviation.",
        }[encoder.preprocess.normalise]
        + _scale(encoder)
    )


def _scale(encoder: Encoder) -> str:
    return f' The pixel scale is {encoder.pixel_scale:g}".' if encoder.pixel_scale else ""


def _timm(encoder: Encoder, architecture: str, changes: Sequence[str], args: Mapping[str, Any]) -> str:
    if changes:
        given = ", ".join(f"{name}={value}" for name, value in args.items())
        lines = [
            f'model = timm.create_model("{architecture}", num_classes=0, {given})',
            *changes,
            'model.load_state_dict(safetensors.torch.load_file("model.safetensors"))',
        ]
        imports = "import safetensors.torch\nimport timm\nimport torch"
        note = "The first layers differ from timm's network, so the code replaces them. In this folder:"
    else:
        lines = ['model = timm.create_model("local-dir:.", pretrained=True)']
        imports, note = "import timm\nimport torch", "With timm alone, in this folder (or `hf-hub:NAME` on the Hub):"
    body = "\n".join(lines)
    return (
        f"{note}\n\n```python\n{imports}\n\n{body}\nmodel = model.eval()\n\n\n{_prepare(encoder)}\n\n"
        f"images = torch.rand(2, {', '.join(map(str, encoder.fixed_shape))})  # your images\n"
        "with torch.inference_mode():\n    features = model(prepare(images))\n```\n"
    )


def _prepare(encoder: Encoder) -> str:
    """Return the code of the preprocessing, which needs only torch."""
    stretches, size, channels = encoder.preprocess.stretches, encoder.preprocess.size, encoder.preprocess.channels
    lines = ["x, planes = images, []"]
    if REMOVES_LIGHT & set(stretches):
        lines.append("without = WithoutLensLight(x)")
    for stretch in stretches:
        lines += _plane(stretch, encoder.preprocess.blurs)
    lines.append("images = torch.cat(planes, 1)")
    if size is not None and encoder.fixed_shape[1:] != (size, size):
        lines.append(
            f'images = torch.nn.functional.interpolate(images, ({size}, {size}), mode="bilinear", antialias=True)'
        )
    if channels is not None:
        lines.append(f"images = images.expand(-1, {channels}, -1, -1)")
    if "imagenet" in stretches:
        mean, deviation = (list(values) for values in PHOTOGRAPHS)
        lines.append(f"mean, deviation = torch.tensor({mean}), torch.tensor({deviation})")
        lines.append("images = (images - mean[:, None, None]) / deviation[:, None, None]")
    normalise = encoder.preprocess.normalise
    if normalise == "peak":
        lines += [
            "peak = images.amax((-3, -2, -1), keepdim=True)",
            "images = images / torch.where(peak > 0, peak, 1.0)",
        ]
    elif normalise == "standard":
        lines += [
            "largest = images.abs().amax((-3, -2, -1), keepdim=True)",
            "images = images / torch.where(largest > 0, largest, 1.0)  # else squares of small numbers underflow",
            "images = images - images.mean((-3, -2, -1), keepdim=True)",
            "deviation = images.square().mean((-3, -2, -1), keepdim=True).sqrt()",
            "images = images / torch.where(deviation > 0, deviation, 1.0)",
        ]
    body = "\n    ".join([*lines, "return images"])
    before = "".join(part + "\n\n\n" for part in _needed(stretches))
    return (
        before
        + f'def prepare(images):\n    """Return images that are stretched and resized for the network."""\n    {body}\n'
    )


def _plane(stretch: str, blurs: Sequence[float]) -> list[str]:
    """Return lines of code that append the channels of one stretch to `planes`."""
    if stretch == "asinh":
        return [
            "border = torch.cat([x[..., 0, :], x[..., -1, :], x[..., 1:-1, 0], x[..., 1:-1, -1]], -1)",
            "median = border.quantile(0.5, -1, keepdim=True)",
            f"sigma = {MAD_TO_SIGMA} * (border - median).abs().quantile(0.5, -1, keepdim=True)",
            "peak = x.abs().flatten(-2).amax(-1, keepdim=True)  # for a border without noise",
            "sigma = torch.where(sigma > 0, sigma, 1e-3 * peak).clamp(min=torch.finfo(x.dtype).tiny)",
            "planes.append(torch.asinh(x / (3 * sigma[..., None])))",
        ]
    if stretch == "imagenet":
        return ["peak = x.amax((-3, -2, -1), keepdim=True)", "planes.append(x / torch.where(peak > 0, peak, 1.0))"]
    if stretch == "unsharp":
        return [f"planes += [torch.asinh(without.unsharp(blur) / 3) for blur in {tuple(blurs)}]"]
    made = {"multipole": "torch.asinh(without.multipole() / 3)", "zscale": "zscale(x)", "linear": "x"}
    return [f"planes.append({made[stretch]})"]


def _needed(stretches: Sequence[str]) -> list[str]:
    """Return the code of lenskit that the stretches need."""
    modules = [zscale] if "zscale" in stretches else []
    if REMOVES_LIGHT & set(stretches):
        modules += [robust, lens_light]
    if not modules:
        return []
    head = (
        "import math\nfrom dataclasses import dataclass\nfrom functools import cache\n"
        "from itertools import pairwise\n\n"
        "import numpy as np\nimport torch\nfrom torch import Tensor\nfrom torch.nn import functional as F"
    )
    return [head, *(_code_of(module) for module in modules)]


def _code_of(module: ModuleType) -> str:
    """Return the code of a module without its imports."""
    source = inspect.getsource(module)
    first = next(node for node in ast.parse(source).body if isinstance(node, ast.Assign))
    return "\n".join(source.splitlines()[first.lineno - 1 :]).strip()


def _onnx() -> str:
    return (
        "The file takes unprocessed images: it includes the steps above. In this folder:\n\n```python\n"
        'import onnxruntime\n\nsession = onnxruntime.InferenceSession("encoder.onnx")\n'
        '(features,) = session.run(None, {"images": images})  # float32, any number of images\n```\n'
    )


def _lenskit(library: str) -> str:
    if library != "timm":
        return ""
    return (
        "With lenskit (`pip install lenskit-ssl`), which includes these steps:\n\n```python\nimport lenskit\n\n"
        'features = lenskit.LensEncoder(".").fit_transform(images)\n```\n'
    )


def _demoted(text: str) -> str:
    """Return a text with headings two levels lower and with escaped HTML."""
    text = escaped(text, keep="\n").replace("<", "&lt;")
    return "\n".join(f"##{line}" if line.startswith("#") else line for line in text.strip().splitlines())
