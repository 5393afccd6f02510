"""Contract of commands: help for every parameter, and faults of one line."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import SkipTest

import click
from click.testing import CliRunner, Result

from lenskit.errors import LenskitError
from lenskit.testing.contract import Contract, temporary_folder


class CommandContract(Contract):
    """Tests of a command.

    ```python
    class TestPeaks(CommandContract):
        component = "peaks"

        def arguments(self, folder):
            numpy.save(folder / "images.npy", numpy.random.default_rng(0).random((3, 1, 8, 8)))
            return [folder / "images.npy", "--lenses", "2"]
    ```
    """

    kind = "command"

    def arguments(self, folder: Path) -> Sequence[object]:
        """Return the arguments of a command line that works.

        Args:
            folder: Empty folder for its files.
        """
        raise SkipTest("no arguments are given")

    def test_help_is_printed(self) -> None:
        result = CliRunner().invoke(self.record.load(), ["--help"])
        self.require(result.exit_code == 0, f"cannot print its help: {result.exception}", self._code(self._command))
        self.require(self._command.help, "has no help: add a docstring", self._code(self._command))

    def test_every_option_has_a_help(self) -> None:
        for command in _commands(self._command):
            for parameter in command.params:
                if isinstance(parameter, click.Option):
                    self.require(
                        parameter.help, f"has the option {parameter.opts[0]} without a help", self._code(command)
                    )

    def test_it_works(self) -> None:
        with temporary_folder() as folder:
            result = self._run(self.arguments(folder))
        self.require(result.exit_code == 0, f"fails: {result.output}{result.exception}", self._code(self._command))

    def test_an_unknown_option_is_refused(self) -> None:
        result = self._run(["--not-an-option"])
        self.require(result.exit_code == 2, "accepts an unknown option", self._code(self._command))

    def test_missing_files_are_one_line(self) -> None:
        """A path that does not exist gives an error of one line, not a traceback."""
        arguments = [p for p in self._command.params if isinstance(p, click.Argument) and p.nargs == 1 and p.required]
        if not arguments:
            raise SkipTest("it takes no argument")
        with temporary_folder() as folder:
            result = self._run([folder / "not-there"] * len(arguments))
        fine = isinstance(result.exception, LenskitError | SystemExit)
        self.require(
            fine and result.exit_code != 0,
            f"fails with {type(result.exception).__name__} if a file is missing: raise a UsageError",
            self._code(self._command),
        )

    @property
    def _command(self) -> click.Command:
        command: click.Command = self.record.load()
        return command

    def _run(self, arguments: Sequence[object]) -> Result:
        return CliRunner().invoke(self._command, [str(argument) for argument in arguments])

    def _code(self, command: click.Command) -> Any:
        """Return the function of a command."""
        return inspect.unwrap(command.callback) if command.callback else None


def _commands(command: click.Command) -> Iterator[click.Command]:
    """Yield a command and its subcommands."""
    yield command
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from _commands(inner)
