"""Contract of commands: each test finds its planted fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import pytest

from lenskit.plugin import UsageError
from tests.lenskit.testing import planted as table

KIND = "command"


def arguments(contract: Any, folder: Path) -> Sequence[object]:
    """Write a text, and return the arguments that count its letters."""
    (folder / "text.txt").write_text("seven")
    return [folder / "text.txt", "--times", 2]


def planted(test: str, does: str, says: str, **more: Any) -> Callable[[click.Command], click.Command]:
    """Add a command with a fault; for the arguments see `table.Planted`."""

    def add(command: click.Command) -> click.Command:
        target = f"{__name__}:{command.callback.__name__}"
        given = {"arguments": arguments if "path" in {each.name for each in command.params} else lambda *_: []}
        table.plant(KIND, test, does, says, target, **{"at": "callback"} | given | more)
        return command

    return add


def read(path: str) -> str:
    """Read a text of a user."""
    if not Path(path).is_file():
        raise UsageError(f"{path} is missing")
    return Path(path).read_text()


@click.command()
@click.argument("path")
@click.option("--times", default=1, help="Number of repetitions.")
def letters(path: str, times: int) -> None:
    """Count the letters of a text."""
    click.echo(times * len(read(path)))


@click.command()
@click.argument("name")
def greet(name: str) -> None:
    """Greet a person."""
    click.echo(f"Dear {name}")


@click.group()
def texts() -> None:
    """Work with texts."""


texts.add_command(letters)

for command, does, given in (
    (letters, "counts letters", arguments),
    (greet, "takes an argument that is no file", lambda contract, folder: ["Edwin"]),
    (texts, "is a group", lambda contract, folder: ["letters", *arguments(contract, folder)]),
):
    place = f"{__name__}:{command.callback.__name__}"
    table.SOUND.append(table.Planted(KIND, "", does, "", place, None, {"arguments": given}, "A command"))


@planted("the summary is one line", "has a blank summary", "has an empty summary", at=None, summary=" ")
@click.command()
def blank() -> None:
    """Do nothing."""


@planted("help is printed", "has no help", "has no help: add a docstring")
@click.command()
def silent() -> None:
    pass


def fail(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Fail in place of the help."""
    raise KeyError("help")


@planted("help is printed", "fails to print its help", "cannot print its help: 'help'")
@click.command()
@click.option("--help", is_flag=True, is_eager=True, callback=fail, help="Show this help.")
def helpless(help: bool) -> None:
    """Do nothing."""


@planted("every option has a help", "does not explain an option", "has the option --times without a help")
@click.command()
@click.option("--times", default=1)
def unexplained(times: int) -> None:
    """Do nothing."""


@click.group()
def bundle() -> None:
    """Do nothing."""


@bundle.command()
@click.option("--depth", default=1)
def inner(depth: int) -> None:
    """Do nothing."""


bundle.inner = inner.callback  # for the place in the message
table.plant(
    KIND, "every option has a help", "has a subcommand that does not explain an option", "the option --depth without",
    f"{__name__}:bundle", at="inner", arguments=arguments,
)  # fmt: skip


@planted("it works", "raises a KeyError", "fails: 'letters'")
@click.command()
@click.argument("path")
@click.option("--times", default=1, help="Number of repetitions.")
def broken(path: str, times: int) -> None:
    """Count the letters of a text."""
    click.echo({}["letters"])


@planted("it works", "stops with an error of its own", "fails: no such file")
@click.command()
@click.argument("path")
@click.option("--times", default=1, help="Number of repetitions.")
def stopped(path: str, times: int) -> None:
    """Count the letters of a text."""
    raise click.ClickException("no such file")


@planted("it works", "returns the number of letters", "returns 5, which is its exit status")
@click.command()
@click.argument("path")
@click.option("--times", default=1, help="Number of repetitions.")
def returned(path: str, times: int) -> int:
    """Count the letters of a text."""
    return len(read(path))


@planted("an unknown option is refused", "ignores unknown options", "accepts an unknown option")
@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
def tolerant() -> None:
    """Do nothing."""


@planted("an unknown option is refused", "takes unknown options as paths", "accepts an unknown option")
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("first")
@click.argument("second")
def greedy(first: str, second: str) -> None:
    """Do nothing."""


@planted("missing files are one line", "does not check its path", "fails with FileNotFoundError if a file is missing")
@click.command()
@click.argument("path")
@click.option("--times", default=1, help="Number of repetitions.")
def careless(path: str, times: int) -> None:
    """Count the letters of a text."""
    click.echo(times * len(Path(path).read_text()))


@planted("missing files are one line", "describes a missing file in two lines", "in several lines: use one")
@click.command()
@click.argument("path")
@click.option("--times", default=1, help="Number of repetitions.")
def wordy(path: str, times: int) -> None:
    """Count the letters of a text."""
    if not Path(path).exists():
        raise UsageError(f"{path} is missing:\ndownload it")


@pytest.mark.parametrize("fault", table.faults(KIND), ids=str)
def test_a_planted_fault_is_found(fault: table.Planted) -> None:
    table.check_found(fault)


def test_the_table_is_complete() -> None:
    table.check_complete(KIND)
