"""Verb `lenskit info`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lenskit.component import FILES
from lenskit.found import Record
from lenskit.options import options_of
from lenskit.registry import registry

RECORDS = {f"{record.kind} {record.title}": record for record in registry().records}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_explains_every_component_there_is(record: Record, lenskit: Callable[..., Any]) -> None:
    outcome = lenskit("info", record.title)
    assert (outcome.status, outcome.err) == (0, "")
    assert f"{record.title} ({record.kind}): {record.component.summary}\n" in outcome.out
    assert f"{record.plugin.distribution} {record.plugin.version}: {record.component.target}\n" in outcome.out
    assert "Args:" not in outcome.out


CLASSES = [record for record in RECORDS.values() if record.kind not in (*FILES, "encoder", "command")]


@pytest.mark.parametrize("record", CLASSES, ids=lambda r: r.name)
def test_every_option_has_a_meaning_and_a_default_that_is_valid(record: Record, lenskit: Callable[..., Any]) -> None:
    text = lenskit("info", record.title).out
    for option in options_of(record.load()):
        assert f"  {option.name}: {option.takes}, " in text
        assert option.meaning, f"{record.title}: option {option.name} is not explained"
        assert len(option.takes) < 60


def test_shows_what_an_option_takes_its_default_and_its_meaning(
    lenskit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert lenskit("info", "note").out == (
        "note (evaluation): The arguments of the command, as JSON\n"
        "from lenskit-ssl-toys 1.0: lenskit_toys.note:Note\n"
        "\n"
        "Print the arguments as JSON.\n"
        "\n"
        "There is an option of every type that a verb can have.\n"
        "\n"
        "options:\n"
        "  output: str, required\n"
        "      File to name.\n"
        "  count: int >= 1, default 3\n"
        "      Number of lenses.\n"
        "  width: float or nothing, default nothing\n"
        "      Width in pixels, with a text that is longer than a\n"
        "      line.\n"
        "  style: 'plain' or 'bold', default plain\n"
        "      Style of the font.\n"
        "  columns: list[str], default []\n"
        "      Column to print; may be given more than once.\n"
        "  figure: bool, default True\n"
        "      Whether to draw a figure.\n"
        "  pair_size: int, default 2\n"
        "      Views of a pair.\n"
    )


def test_a_component_without_options_says_so(lenskit: Callable[..., Any]) -> None:
    assert lenskit("info", "lens-fixed").out.endswith("\n\nIt has no options.\n")


def test_a_recipe_is_shown_as_it_is(lenskit: Callable[..., Any]) -> None:
    text = lenskit("info", "toys").out
    assert text.startswith(
        "toys (recipe): A run of a second\nfrom lenskit-ssl-toys 1.0: lenskit_toys:recipes/toys.toml\n"
    )
    assert '[simulator]\nname = "blobs"\npixels = 12\n' in text


def test_a_command_shows_its_help(lenskit: Callable[..., Any]) -> None:
    text = lenskit("info", "peaks").out
    assert text.startswith(
        "peaks (command): Print the brightest pixel of each stored lens\nfrom lenskit-ssl-toys 1.0: "
    )
    assert "\n\nUsage: lenskit peaks [OPTIONS] [READER:]PATH\n" in text
    assert "Number of lenses to read." in text


def test_one_name_in_two_kinds_is_explained_twice(install: Callable[..., None], lenskit: Callable[..., Any]) -> None:
    hook = "@hookimpl\ndef lenskit_pairs():\n    return [Component('hst', 'lenskit_siamese.pairs:Single', 'A pair')]\n"
    install("acme", hook)
    text = lenskit("info", "hst").out
    assert "hst (simulator): " in text
    assert "\n\nhst (pairs): A pair\nfrom lenskit-ssl-acme 1.0" in text
    assert "simulator" not in lenskit("info", "hst@lenskit-ssl-acme").out


def test_an_unknown_name(lenskit: Callable[..., Any]) -> None:
    message = "unknown component 'simsaim'; did you mean simsiam"
    assert lenskit("info", "simsaim").complaint().startswith(message)
    assert "unknown component 'hst@nobody'" in lenskit("info", "hst@nobody").complaint()
