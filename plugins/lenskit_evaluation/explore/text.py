"""Conversion of symbols from LaTeX to plain text, for a page without formulas."""

from __future__ import annotations

import re
import unicodedata

from lenskit.plugin import Parameter

_SIGNS = {"odot": "⊙", "times": "×", "prime": "′", "cdot": "·", "pm": "±", "circ": "°", "infty": "∞", "lambda": "λ"}
_SPACES = re.compile(r"\\[,;:! ]|~")
_FONTS = re.compile(r"\\(?:mathrm|mathbf|mathit|text|rm|bf|it)(?![a-zA-Z])\s*")
_COMMAND = re.compile(r"\\([a-zA-Z]+)\s*")
_RAISED = re.compile(r"([_^])([+-]?\d+)(?![\d.])")
_SMALL = {"_": str.maketrans("0123456789+-", "₀₁₂₃₄₅₆₇₈₉₊₋"), "^": str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")}


def plain(symbol: str) -> str:
    r"""Convert a symbol such as `$\theta_E$` to text such as `θ_E`.

    Greek letters, superscript digits and subscript digits become Unicode characters; other text stays the same.
    """
    text = _SPACES.sub(" ", symbol.replace("$", ""))
    text = _COMMAND.sub(_sign, _FONTS.sub("", text))
    text = re.sub(r"[{}\\]", "", text)
    text = _RAISED.sub(lambda found: found[2].translate(_SMALL[found[1]]), text)
    return " ".join(text.split())


def _sign(command: re.Match[str]) -> str:
    """Return the character of a LaTeX command, or the command's name if unknown."""
    name = command[1]
    if name.lower() in _SIGNS and name.islower():
        return _SIGNS[name]
    size, letter = ("SMALL" if name.islower() else "CAPITAL"), name.lower().removeprefix("var")
    try:
        return unicodedata.lookup(f"GREEK {size} LETTER {letter.upper()}")
    except KeyError:
        return name


def label(parameter: Parameter) -> str:
    """Return the symbol and the unit of a parameter, such as `θ_E (arcsec)`.

    A parameter without a symbol is shown with its name.
    """
    name = plain(parameter.symbol) or parameter.name.replace("$", "")
    return f"{name} ({plain(parameter.unit)})" if parameter.unit else name
