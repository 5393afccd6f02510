"""Verbs that third-party plugins add with click."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lenskit.errors import UsageError
from lenskit.registry import registry

HOOK = "@hookimpl\ndef lenskit_commands():\n    return [Component({name!r}, 'acme:acme', 'Of Acme')]\n"
ACME = "import click\n\n@click.command()\ndef acme():\n    return 3\n"


def test_a_command_of_a_third_party_is_a_verb(lenskit: Callable[..., Any]) -> None:
    images = np.zeros((3, 1, 8, 8), np.float32)
    images[:, 0, 4, 4] = [1.5, 2.5, 3.5]
    np.save("images.npy", images)
    outcome = lenskit("peaks", "deeplense-npy:images.npy", "--lenses", 2)
    assert (outcome.status, outcome.err) == (0, "")
    assert [line.split()[1] for line in outcome.out.splitlines()] == ["1.5", "2.5"]
    assert lenskit("peaks", "images.npy", "--lenses", 0).complaint().startswith("Invalid value for '--lenses'")
    assert lenskit("peaks", "none.npy").complaint().startswith("there are no data at none.npy")
    assert lenskit("peaks", "--help").out.startswith("Usage: lenskit peaks [OPTIONS] [READER:]PATH\n")
    assert "did you mean peaks?" in lenskit("peeks").complaint()


def test_commands_have_a_section_of_the_help_if_there_are_any(
    lenskit: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, section = lenskit("--help").out.split("\nCommands of plugins (see lenskit NAME --help):\n")
    assert section.split(maxsplit=1) == ["peaks", "Print the brightest pixel of each stored lens\n"]
    monkeypatch.setenv("LENSKIT_PLUGINS", "evaluation")
    registry.cache_clear()
    assert "Commands of plugins" not in lenskit("--help").out
    registry.cache_clear()


@pytest.mark.parametrize("line", ["--help", "list commands", "plugins", "train --help"])
def test_a_command_is_imported_only_when_it_is_used(line: str) -> None:
    code = f"from lenskit.cli.main import run\nrun({line.split()!r})\n"
    code += "import sys\nassert 'lenskit_toys.peaks' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_command_returns_its_exit_status(install: Callable[..., None], lenskit: Callable[..., Any]) -> None:
    install("acme", HOOK.format(name="acme"), acme=ACME)
    assert lenskit("acme").status == 3
    install("zebra", HOOK.format(name="acme"))
    message = "command 'acme' is brought by 2 plugins (lenskit-ssl-acme 1.0, lenskit-ssl-zebra 1.0): say which, as "
    assert lenskit("acme").complaint().startswith(message)
    assert lenskit("acme@lenskit-ssl-zebra").status == 3


FORM = (
    "a name has up to 64 lower-case letters, digits, dots, hyphens and underscores, and begins with a letter or a digit"
)
REFUSED = {
    "train": "lenskit has a verb of that name",
    "probe": "there is an evaluation of that name",
    "note": "there is an evaluation of that name",
    "Acme": FORM,
    "two words": FORM,
    "--help": FORM,
    "a@b": FORM,
    "": FORM,
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_is_another_verb_or_none_is_refused(
    name: str,
    install: Callable[..., None],
    lenskit: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    methods = "@hookimpl\ndef lenskit_methods():\n    return [Component('stripes', 'a:B', 'Stripes')]\n"
    install("acme", HOOK.format(name=name) + methods, acme=ACME)
    outcome = lenskit("plugins")
    assert outcome.err == f"lenskit: command {name!r} of lenskit-ssl-acme 1.0 is left out: {REFUSED[name]}\n"
    row = next(number for number, line in enumerate(outcome.out.splitlines()) if line.startswith("acme "))
    assert outcome.out.splitlines()[row].endswith("  1 component")
    assert outcome.out.splitlines()[row + 1] == f"    command {name!r} is left out: {REFUSED[name]}"
    assert f"wrong  plugin 'acme' of lenskit-ssl-acme 1.0: command {name!r} is left out" in lenskit("doctor").out
    assert {record.name for record in registry().of_kind("command")} == {"peaks"}
    assert registry().find("method", "stripes").plugin.name == "acme"
    assert lenskit("train", "--help").out.startswith("Usage: lenskit train")
    monkeypatch.setenv("LENSKIT_STRICT", "1")
    registry.cache_clear()
    with pytest.raises(UsageError, match="of lenskit-ssl-acme 1.0 is left out"):
        registry()


@pytest.mark.parametrize("code", ["acme = 1", "class acme: pass", "def acme(): pass"])
def test_a_target_that_is_no_command_is_one_line(
    code: str, install: Callable[..., None], lenskit: Callable[..., Any]
) -> None:
    install("acme", HOOK.format(name="acme"), acme=code)
    where = "command 'acme' of lenskit-ssl-acme 1.0 cannot be loaded from acme:acme"
    for line in (["acme"], ["acme", "--help"], ["info", "acme"]):
        outcome = lenskit(*line)
        assert outcome.status == 1
        assert outcome.err == f"lenskit: {where}: TypeError: acme is no click.Command\n"
    assert lenskit("--help").status == 0
