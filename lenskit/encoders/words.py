"""Text of an encoder's card for `lenskit info`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lenskit.words import escaped

FIGURES = {"r2": "R2", "mae": "mean absolute error", "bias": "bias", "spearman": "rank correlation"}
"""Full names of the metrics of a result."""

WITHIN = {"within_68": "68", "within_95": "95"}
"""Names of coverage fractions of intervals, and the nominal coverage in percent."""


def told(card: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines about an encoder: network, training, images, results.

    Args:
        card: Card of the encoder, which was checked as an `EncoderCard`.
    """
    for name, text in (
        ("summary", card.get("summary")),
        ("network", _network(card)),
        ("trained on", _training(card)),
        ("images", _images(card)),
        ("licence", card.get("licence")),
    ):
        if text:
            yield f"{name}: {escaped(str(text))}"
    head = card.get("head") or {}
    for parameter in head.get("parameters", ()):
        yield escaped(f"predicts: {_named(parameter)}{_widths(parameter)}")
    if "data" in head:
        yield escaped(f"head: fitted to {head.get('lenses', 'some')} lenses of {head['data']}, "
                      f"calibrated on {head.get('calibrated_on', 'some')} other lenses")  # fmt: skip
    for result in card.get("results") or ():
        yield escaped(f"result: {_result(result)}")


def _network(card: Mapping[str, Any]) -> str:
    options = {key: value for key, value in card["backbone"].items() if key not in ("name", "pretrained", "weights")}
    text = ", ".join(f"{key} {value}" for key, value in options.items() if value not in (None, False))
    features = f", {card['features']} features" if "features" in card else ""
    return f"{card['backbone']['name']}{f' ({text})' if text else ''}{features}"


def _training(card: Mapping[str, Any]) -> str:
    how = [f"method {card['method']}"] if card.get("method") else []
    how += [f"pairs {card['pairs']}"] if card.get("pairs") else []
    if trained := card.get("trained"):
        how.append(f"{trained['batches']} of {trained['of']} batches")
    images = card.get("trained_on") or ("unnamed images" if how else "")
    return f"{images} ({', '.join(how)})" if how else images


def _images(card: Mapping[str, Any]) -> str:
    if card["image_shape"] is None:
        text = "any number of pixels"
    else:
        text = " x ".join(map(str, card["image_shape"])) + " (channels, height, width)"
    if card.get("pixel_scale"):
        text += f', {card["pixel_scale"]:.4g}" a pixel'
    options = [f"{name} {value}" for name, value in card["input"].items() if value not in (None, "none")]
    return f"{text}; {', '.join(options)}" if options else text


def _named(parameter: Mapping[str, Any]) -> str:
    unit = f" [{parameter['unit']}]" if parameter.get("unit") else ""
    return f"{parameter['name']}{unit}"


def _widths(parameter: Mapping[str, Any]) -> str:
    text = [
        f"+-{parameter[field]:.3g} ({level} %)"
        for field, level in (("half_width_68", 68), ("half_width_95", 95))
        if isinstance(parameter.get(field), int | float)
    ]
    return f", {', '.join(text)}" if text else ""


def _result(result: Mapping[str, Any]) -> str:
    numbers = {key: value for key, value in result.items() if isinstance(value, int | float)}
    text = [f"{words} {numbers[key]:.3g}" for key, words in FIGURES.items() if key in numbers]
    text += [
        f"{100 * numbers[key]:.0f} % within the {level} % intervals" for key, level in WITHIN.items() if key in numbers
    ]
    count = f"{numbers['n']} lenses of " if "n" in numbers else ""
    name = _named({"name": result["parameter"], "unit": result.get("unit")})
    return f"{name}, {count}{result['on']}: {', '.join(text)}"
