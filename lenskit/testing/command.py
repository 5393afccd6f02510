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

UNKNOWN = "--not-an-option"


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
        result = CliRunner().invoke(self._command, ["--help"])
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
        fault = f"{result.output}{result.exception or ''}".strip()
        self.require(result.exit_code == 0, f"fails: {fault}", self._code(self._command))
        status = result.return_value
        self.require(
            not isinstance(status, int) or status == 0,
            f"returns {status!r}, which is its exit status: return None",
            self._code(self._command),
        )

    def test_an_unknown_option_is_refused(self) -> None:
        result = self._run([UNKNOWN])
        refused = isinstance(result.exception, click.UsageError) and UNKNOWN in result.exception.format_message()
        self.require(refused, "accepts an unknown option", self._code(self._command))

    def test_missing_files_are_one_line(self) -> None:
        """A path that does not exist gives an error of one line, not a traceback."""
        arguments = [p for p in self._command.params if isinstance(p, click.Argument) and p.nargs == 1 and p.required]
        if not arguments:
            raise SkipTest("it takes no argument")
        with temporary_folder() as folder:
            error = self._run([folder / "not-there"] * len(arguments)).exception
        # An argument need not be an input file, so a command may work.
        fine = error is None or isinstance(error, LenskitError | click.ClickException | click.exceptions.Exit)
        self.require(
            fine,
            f"fails with {type(error).__name__} if a file is missing: raise a UsageError",
            self._code(self._command),
        )
        self.require(
            "\n" not in str(error), "describes a missing file in several lines: use one", self._code(self._command)
        )

    @property
    def _command(self) -> click.Command:
        command: click.Command = self.record.load()
        return command

    def _run(self, arguments: Sequence[object]) -> Result:
        """Run a command line; its errors are exceptions of the result."""
        command = [str(argument) for argument in arguments]
        return CliRunner().invoke(self._command, command, standalone_mode=False)

    def _code(self, command: click.Command) -> Any:
        """Return the function of a command."""
        return inspect.unwrap(command.callback) if command.callback else None


def _commands(command: click.Command) -> Iterator[click.Command]:
    """Yield a command and its subcommands."""
    yield command
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            yield from _commands(inner)
