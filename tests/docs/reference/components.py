"""Pages of the bundled components, one for each kind, and their overview."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lenskit.component import FILES, KINDS
from lenskit.download import CARD
from lenskit.encoder_card import read_card
from lenskit.found import Record
from lenskit.options import Option, description, options_of
from lenskit.registry import registry
from tests.docs.reference.markdown import DOCS, block, code, head, linked, options_table, prose, table
from tests.docs.reference.provides import provided

FOLDER = DOCS / "reference"

NONE_BUNDLED = ("command",)
"""Kinds without a bundled component."""

USE = {
    "simulator": "A simulator samples lenses and renders their images. Select one with `--simulator NAME`, and set its "
    "options with `--set simulator.OPTION=VALUE`. The [guide to simulators](../guides/simulators.md) explains them.",
    "instrument": "An instrument is the camera of a simulator: pixels, PSFs and noise. Select one with `--set "
    "simulator.instrument=NAME`. `lenskit info NAME` prints the file; your own file has the same form.",
    "dataset": "A dataset reads stored images. `--data PATH` finds the reader, and `--data NAME:PATH` names it. Set "
    "its options with `--set data.OPTION=VALUE`.",
    "format": "A format is a type of file that lenskit writes: stores of `lenskit simulate`, images of `lenskit "
    "render`, features of `lenskit embed`.",
    "pairs": "A pair strategy makes the views of a lens. Select one with `--pairs NAME`; a plus adds a transform, as "
    "in `lens-fixed+blur`. Set its options with `--set pairs.OPTION=VALUE`. The [guide to pairs](../guides/pairs.md) "
    "explains them.",
    "method": "A method defines the loss that trains a backbone. Select one with `--method NAME`, and set its "
    "options with `--set method.OPTION=VALUE`. The [guide to methods](../guides/methods.md) compares them.",
    "backbone": "A backbone is a network from images to feature vectors. Select one with `--backbone NAME`, and set "
    "its options with `--set backbone.OPTION=VALUE`.",
    "encoder": "An encoder is a trained network that is used by name in place of a run: `lenskit predict NAME IMAGES`. "
    "The [guide to encoders](../guides/encoders.md) explains their files.",
    "evaluation": "An evaluation judges runs, and is a verb: `lenskit NAME RUN --option VALUE`. In Python it is "
    '`lenskit.evaluate("NAME", "RUN", option=VALUE)`.',
    "recipe": "A recipe is a configuration with a name. Select one with `--recipe NAME`; any flag overrides it. [A "
    "table](../recipes.md) compares cost and results.",
}
"""First paragraph of the page of each kind."""

NOTES = {
    "a distribution": "The value *a distribution* is a number, or a text such as `uniform(0.8, 1.8)`; see [all "
    "distributions](configuration.md#distributions).",
    "| nothing |": "The default *nothing* means that the option is not set.",
}
"""Explanations of words in the tables of options."""


def bundled(kind: str) -> list[Record]:
    """Return the bundled components of a kind; those of other plugins are left out."""
    return [record for record in registry().of_kind(kind) if record.is_bundled]


def pages() -> dict[Path, str]:
    """Return the pages of the kinds and their overview."""
    kinds = [kind for kind in KINDS if kind not in NONE_BUNDLED]
    return {FOLDER / "index.md": overview(kinds)} | {page_of(kind): "\n".join(_page(kind)) for kind in kinds}


def page_of(kind: str) -> Path:
    """Return the path of the page of a kind."""
    return FOLDER / f"{KINDS[kind]}.md"


def overview(kinds: list[str]) -> str:
    """Return the first page of the reference."""
    text = (
        "Complete lists, written from the code: each command with its flags, each bundled component with its options, "
        "each section of a configuration, and each public name in Python."
    )
    rows = [
        ["[Command line](cli.md)", "verbs and evaluations with arguments and flags"],
        ["[Configuration](configuration.md)", "sections `train`, `input`, `monitor` and `optimizer`; distributions"],
        ["[Python](python.md)", "functions and classes of `lenskit`, and the modules for plugins"],
    ]
    parts = [head("Reference", text), table(["page", "content"], rows), "\n## Components\n"]
    parts.append(
        "`lenskit list` also lists the components of installed plugins, and `lenskit info NAME` describes one. "
        "[Writing a plugin](../plugins/index.md) explains how to add one.\n"
    )
    for kind in kinds:
        names = (f"[`{record.title}`]({KINDS[kind]}.md#{record.name})" for record in bundled(kind))
        parts.append(f"- [{KINDS[kind].capitalize()}]({KINDS[kind]}.md): {', '.join(names)}")
    return "\n".join(parts) + "\n"


def _page(kind: str) -> Iterator[str]:
    sections = [section(record) for record in bundled(kind)]
    notes = [note for words, note in NOTES.items() if any(words in each for each in sections)]
    yield head(KINDS[kind].capitalize(), "\n\n".join([USE[kind], " ".join(notes)]).rstrip())
    rows = [[f"[`{record.title}`](#{record.name})", record.component.summary] for record in bundled(kind)]
    yield table([kind, "summary"], rows) + "\n"
    yield from sections


def section(record: Record) -> str:
    """Return the section of a component: summary, docstring, properties and options."""
    page = page_of(record.kind)
    summary = f"{record.component.summary}."
    parts = [f"## {record.name}"]
    if record.component.argument:
        parts.append(f"Type `{record.title}`.")
    if record.kind in FILES:
        parts += [summary, block(record.load(), "toml")]
    elif record.kind == "encoder":
        parts += [summary, *provided(record, read_card(record.folder(CARD)))]
    else:
        component = record.load()
        text = prose(description(component), page)
        if not text.startswith(summary):
            parts.append(f"*{summary}*")
        parts += [text, *provided(record, component), options(component, page)]
    parts.append(f"Source: {code(record.component.target)}")
    return "\n\n".join(parts) + "\n"


def options(component: type, page: Path) -> str:
    """Return the table of the options of a component."""
    return options_table(_option(option, page) for option in options_of(component)) or "It has no options."


def _option(option: Option, page: Path) -> list[str]:
    default = "required" if option.required else shown(option.default)
    takes = re.sub(r"'([^']*)'", r"`\1`", option.takes)
    return [code(option.name), takes, default, linked(option.meaning, page)]


def shown(value: Any) -> str:
    """Return a default as a user types it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, list | tuple):
        return code(f"[{', '.join(map(str, value))}]")
    return code(value) or "an empty text"
