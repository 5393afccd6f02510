"""Page of the command line, from the click commands."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import click

from lenskit.cli.evaluation import command_of
from lenskit.cli.main import cli
from lenskit.registry import registry
from lenskit.verbs import VERBS
from tests.docs.reference.markdown import DOCS, code, codes, head, linked, options_table, prose, table

PAGE = DOCS / "reference" / "cli.md"

TEXT = """Every verb of `lenskit`, with its arguments and options. `lenskit VERB --help` prints the same in a terminal.

An option is *repeatable* if it can be given several times. An empty default means that the option is not set: for a
training it then comes from `--config`, from the recipe or from the [defaults](configuration.md). `-h` and `--help` work
after every verb."""

STATED = re.compile(r" \[default: (.*)\]$", re.DOTALL)
"""Default at the end of a help text."""


def page() -> str:
    """Return the page of the command line."""
    parts = [head("Command line", TEXT), f"Options before the verb:\n\n{listed(cli)}\n"]
    for title, names in (("Verbs", [*VERBS]), ("Evaluations", evaluations())):
        rows = [[f"[`lenskit {name}`](#lenskit-{name})", summary(name)] for name in names]
        parts.append(f"{title}:\n\n{table([title.lower().removesuffix('s'), 'purpose'], rows)}\n")
    parts += [section(name, command) for name, command in commands()]
    return "\n".join(parts)


def evaluations() -> list[str]:
    """Return the names of the bundled evaluations."""
    return [record.name for record in registry().of_kind("evaluation") if record.is_bundled]


def summary(name: str) -> str:
    """Return the summary of a verb or an evaluation."""
    return VERBS.get(name) or registry().find("evaluation", name).component.summary


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield verbs, their subcommands and bundled evaluations, with their names."""
    for name in VERBS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        yield name, command
        for sub, subcommand in getattr(command, "commands", {}).items():
            yield f"{name} {sub}", subcommand
    for name in evaluations():
        yield name, command_of(name)


def section(name: str, command: click.Command) -> str:
    """Return the section of a command: usage, help, options."""
    usage = [name, *map(argument, arguments(command))]
    usage += ["[OPTIONS]"] if options(command) else []
    usage += ["COMMAND ..."] if isinstance(command, click.Group) else []
    text = prose(inspect.cleandoc(command.help or ""), PAGE)
    parts = [f"## lenskit {name}", f"Usage: {code('lenskit ' + ' '.join(usage))}", text, listed(command)]
    return "\n\n".join(filter(None, parts)) + "\n"


def listed(command: click.Command) -> str:
    """Return the table of the options of a command; empty if it has none."""
    return options_table(map(option, options(command)))


def arguments(command: click.Command) -> list[click.Argument]:
    """Return the arguments of a command."""
    return [each for each in command.params if isinstance(each, click.Argument)]


def options(command: click.Command) -> list[click.Option]:
    """Return the options of a command, without `--help`."""
    return [each for each in command.params if isinstance(each, click.Option) and not each.hidden]


def argument(each: click.Argument) -> str:
    """Return an argument as in a usage line."""
    if each.metavar:
        return each.metavar
    text = str(each.name).upper() + ("..." if each.nargs < 0 else "")
    return text if each.required else f"[{text}]"


def option(each: click.Option) -> list[str]:
    """Return the row of an option: names, value, default and meaning."""
    text = " ".join((each.help or "").split())
    stated = STATED.search(text)
    default = stated[1] if stated else ""
    if not stated and each.show_default and isinstance(each.default, str | int | float):
        default = str(each.default)
    if each.required:
        default = "required"
    takes = value(each) + (", repeatable" if each.multiple else "")
    meaning = STATED.sub("", text).replace("; repeatable.", ".")
    return [codes([*each.opts, *each.secondary_opts]), takes, default, linked(meaning, PAGE)]


def value(each: click.Option) -> str:
    """Return the accepted values of an option in words."""
    kind: Any = each.type
    if each.is_flag:
        return "flag"
    if isinstance(kind, click.Choice):
        return " or ".join(map(code, kind.choices))
    if isinstance(kind, click.IntRange | click.FloatRange):
        return ranged(kind)
    if each.metavar:
        return code(each.metavar.replace("|", " or "))
    return {"integer": "integer", "float": "number"}.get(kind.name, kind.name)


def ranged(kind: Any) -> str:
    """Return a range of numbers in words."""
    if kind.max is not None and kind.max >= 2**63 - 1:
        return "integer of 64 bits"
    word = "integer" if isinstance(kind, click.IntRange) else "number"
    low = "" if kind.min is None else f" {'above' if kind.min_open else 'from'} {kind.min:,}"
    high = "" if kind.max is None else f" {'below' if kind.max_open else 'to'} {kind.max:,}"
    return f"{word}{low}{high}"
