"""Verb `lenskit info`: description of a component and its options."""

from __future__ import annotations

import re
import shutil
import sys
from typing import Any

import click

from lenskit.cli.output import echo
from lenskit.component import FILES
from lenskit.found import Record
from lenskit.kinds.format import FileFormat
from lenskit.registry import registry
from lenskit.terminal import width_of


@click.command("info", short_help="Describe a component and its options")
@click.argument("name")
def command(name: str) -> None:
    """Describe the component NAME, its origin and its options.

    NAME may combine pair strategies, such as lens-fixed+blur. Each part is then described.
    """
    first, *others = name.split("+")
    for number, record in enumerate(_parts(name) if others else registry().find_any(first)):
        if number:
            echo()
        if number and others:
            echo(f"then, with options --set pairs.{record.name}.OPTION=VALUE:")
        # Load before printing, so that an error does not follow half of the output.
        loaded: Any = None if record.kind == "encoder" else record.load()
        plugin = record.plugin
        echo(f"{record.title} ({record.kind}): {record.component.summary}")
        echo(f"from {plugin.distribution} {plugin.version}: {record.component.target}")
        if record.kind in FILES:
            echo(f"\n{loaded.rstrip()}")
            continue
        if record.kind == "encoder":
            _print_card(record)
            continue
        if record.kind == "command":
            echo(f"\n{loaded.get_help(click.Context(loaded, info_name=f'lenskit {record.name}'))}")
            continue
        if record.kind == "format":
            _print_format(loaded)
        _print_options(loaded)


def _parts(name: str) -> list[Record]:
    """Return the pair strategies that a name combines.

    Raises:
        UsageError: A part is unknown, or not allowed in its position.
    """
    from lenskit.config import Config

    Config.resolve({"pairs": {"name": name}}, only=("pairs",)).build("pairs")
    return [registry().find("pairs", part) for part in name.split("+")]


def _print_card(record: Record) -> None:
    """Print the card of an encoder.

    If the encoder is on the web, only the card is downloaded.
    """
    from lenskit.download import CARD
    from lenskit.encoder_card import read_card
    from lenskit.encoders.words import told

    card = read_card(record.folder(CARD))
    echo()
    for line in told(card):
        echo(line)
    use = "predict {} IMAGES" if card.get("head") else "embed {} --data IMAGES"
    echo(f"\nuse in place of a run: lenskit {use.format(record.title)}; in Python lenskit.load({record.title!r})")


def _print_format(format: type[FileFormat]) -> None:
    paths = ", ".join(f"NAME{ending}" for ending in format.endings) or "--format only"
    read = f"; read by the dataset {format.reader}" if format.reader else ""
    echo(f"holds {' and '.join(format.contents())}; selected by {paths}{read}")


def _print_options(component: type) -> None:
    from lenskit.options import description, options_of

    options = options_of(component)
    if text := description(component):
        echo(f"\n{_reflowed(text)}", indent=0)
    echo("\noptions:" if options else "\nIt has no options.")
    width = min(shutil.get_terminal_size().columns, 120)
    for option in options:
        default = "nothing" if option.default is None else option.default
        required = "required" if option.required else f"default {default}"
        echo(f"  {option.name}: {option.takes}, {required}", indent=6)
        echo(click.wrap_text(option.meaning, width, initial_indent=" " * 6, subsequent_indent=" " * 6))


def _reflowed(text: str) -> str:
    """Return a docstring with paragraphs as wide as the terminal.

    If the output is no terminal, the docstring is unchanged.
    """
    if width_of(sys.stdout) is None:
        return text
    # Do not join lines that are indented or that begin an item of a list.
    return re.sub(r"(?<=\S)\n(?=[^\s*-])", " ", text)
