"""Program `lenskit`, which runs a verb and reports an error as one line."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import warnings

import click

from lenskit.errors import LenskitError, UsageError, too_many_files
from lenskit.terminal import width_of, wrapped
from lenskit.verbs import VERBS
from lenskit.version import __version__
from lenskit.words import MESSAGE, escaped, quoted, shortened

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a full disk, an exceeded quota and a file that is too large."""


class Verbs(click.Group):
    """Group of the verbs of lenskit, and of the evaluations and commands of plugins."""

    def list_commands(self, context: click.Context) -> list[str]:
        return [*VERBS, *_summaries("evaluation"), *_summaries("command")]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in VERBS:
            return importlib.import_module(f"lenskit.cli.{name}").command
        from lenskit.naming import parse
        from lenskit.registry import registry

        head = parse(name).head
        if any(record.name == head for record in registry().of_kind("evaluation")):
            from lenskit.cli.evaluation import command_of

            return command_of(name)
        if any(record.name == head for record in registry().of_kind("command")):
            command: click.Command = registry().find("command", name).load()
            return command
        if refused := registry().why_refused(name, "evaluation") or registry().why_refused(name, "command"):
            raise UsageError(refused)
        return None

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = arguments[0]
        if not name.startswith("-") and self.get_command(context, name) is None:
            from lenskit.errors import near

            raise UsageError(
                f"there is no verb {quoted(name)}{near(name, self.list_commands(context))}; `lenskit --help` lists them"
            )
        return super().resolve_command(context, arguments)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))
        if evaluations := _summaries("evaluation"):
            with formatter.section("Evaluations (lenskit NAME RUN...; see lenskit NAME --help)"):
                formatter.write_dl(list(evaluations.items()))
        if commands := _summaries("command"):
            with formatter.section("Commands of plugins (see lenskit NAME --help)"):
                formatter.write_dl(list(commands.items()))


@click.group(cls=Verbs, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lenskit")
@click.pass_context
def cli(context: click.Context) -> None:
    """Learn from strong-gravitational-lens images without labels.

    Start with `lenskit train --recipe quickstart`. `lenskit VERB --help` explains a verb and its options.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
        return
    import logging

    from lenskit.logs import OneLine, Screen

    logging.basicConfig(level=logging.WARNING, handlers=[Screen()])
    logging.getLogger().handlers[0].setFormatter(OneLine("%(message)s"))
    logging.getLogger("lenskit").setLevel(logging.INFO)


def main() -> None:
    """Entry point of the command `lenskit`."""
    as_usual = warnings.formatwarning
    warnings.formatwarning = lambda *args, **options: escaped(as_usual(*args, **options), keep="\n")
    # If the terminal's encoding lacks a character, write an escape sequence.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    status = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError as error:
        # Redirect, because the interpreter flushes at exit and would report the error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = status or _complain(f"the output cannot be written: {error.strerror}", 1)
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit status."""
    try:
        return _run(arguments)
    except Exception as error:
        from lenskit.blame import fault_of_plugin
        from lenskit.origin import is_strict

        line = None if is_strict() else fault_of_plugin(error)
        if line is None:
            raise  # a bug of lenskit: show the traceback
        return _complain(line, 1)


def _run(arguments: list[str]) -> int:
    """Run one command line, and report errors that the user or the machine caused.

    All other errors are raised.
    """
    try:
        result = cli.main(arguments, prog_name="lenskit", standalone_mode=False)
    except LenskitError as error:
        return _complain(str(error), error.status)
    except click.ClickException as error:
        return _complain(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        return _complain("stopped", 130)
    except (MemoryError, RuntimeError) as error:
        from lenskit.out_of_memory import asked_for, is_out_of_memory

        if not is_out_of_memory(error):
            raise
        return _complain(
            f"this machine is out of memory{asked_for(error)}: use fewer or smaller images, or smaller values of "
            "options that set a size",
            1,
        )
    except BrokenPipeError:
        # The reader of the output has closed it. Redirect, because the interpreter flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if instead := too_many_files(error):
            return _complain(str(instead), instead.status)
        # The user can mend a full disk, or a file that cannot be read or written. Any other error is a bug of lenskit.
        if error.filename is None and error.errno not in DISK:
            raise
        return _complain(f"{error.strerror}{f': {error.filename}' if error.filename else ''}", 1)
    return result if isinstance(result, int) else 0


def _complain(message: str, status: int) -> int:
    line = f"lenskit: {shortened(escaped(' '.join(message.splitlines())), MESSAGE)}"
    print(wrapped(line, width_of(sys.stderr)), file=sys.stderr)
    return status


def _summaries(kind: str) -> dict[str, str]:
    """Return the summaries of the verbs of a kind, by name."""
    from lenskit.registry import registry

    return {record.typed: escaped(record.component.summary) for record in registry().of_kind(kind)}
