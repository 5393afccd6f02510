"""Program `lenskit`: verbs, errors in one line, exit status and lazy imports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lenskit.cli.main import VERBS, cli, run
from lenskit.config import Config
from lenskit.errors import UsageError
from lenskit.layers import read_recipe
from lenskit.registry import registry

HEAVY = {"torch", "numpy", "scipy", "pydantic", "pytorch_lightning", "matplotlib", "rich", "docstring_parser"}

EVALUATION = """
@hookimpl
def lenskit_evaluations():
    return [Component("fail", "acme_fail:Fail", "Fails")]
"""
FAIL = """
import errno
from lenskit.plugin import Evaluation

class Fail(Evaluation):
    def __init__(self, *, error: str = "None") -> None:
        self.error = error

    def __call__(self, runs, inputs=()):
        raise eval(self.error)
"""


@pytest.fixture
def untrained() -> Path:
    """Return a run directory that has only a configuration."""
    folder = Path("run")
    folder.mkdir()
    (folder / "run.toml").write_text(Config.resolve(read_recipe("toys")).to_toml())
    return folder


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_lists_every_verb_and_every_evaluation(arguments: list[str], lenskit: Callable[..., Any]) -> None:
    outcome = lenskit(*arguments)
    assert (outcome.status, outcome.err) == (0, "")
    shown = {line.split()[0] for line in outcome.out.splitlines() if line.startswith("  ")}
    assert shown >= {*VERBS, "embed", "probe", "predict", "note"}


@pytest.mark.parametrize("verb", [*VERBS, "note"])
def test_every_verb_explains_itself(verb: str, lenskit: Callable[..., Any]) -> None:
    outcome = lenskit(verb, "--help")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: lenskit {verb}")
    assert "Args:" not in outcome.out


def test_the_help_of_a_verb_begins_as_its_summary_says() -> None:
    for name, summary in VERBS.items():
        command = cli.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        assert command.short_help == summary


def test_version(lenskit: Callable[..., Any]) -> None:
    assert lenskit("--version").out == f"lenskit, version {metadata.version('lenskit-ssl')}\n"


def unknown(option: str) -> tuple[str, str]:
    """Return click's messages for an unknown option, in its newest version and in 8.1."""
    return f"No such option '{option}'", f"No such option: {option}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "there is no verb 'trian' (did you mean train or transfer?); `lenskit --help` lists them"),
        (["qqqq"], "there is no verb 'qqqq'; `lenskit --help` lists them"),
        (["--hepl"], unknown("--hepl")),
        (["train", "--epoch", "3"], unknown("--epoch")),
        (["train", "--epochs", "three"], "Invalid value for '--epochs': 'three' is not a valid int"),
        (["train", "--epochs"], "Option '--epochs' requires an argument."),
        (["train", "more"], "Got unexpected extra argument (more)"),
        (["info"], "Missing argument 'NAME'."),
        (["note"], "Missing argument 'RUN'."),
        (["plugins", "--json"], unknown("--json")),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str], message: str | tuple[str, str], lenskit: Callable[..., Any]
) -> None:
    assert lenskit(*arguments).complaint(status=2).startswith(message)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        ("OSError(errno.ENOSPC, 'No space left on device', 'a/b')", 1, "No space left on device: a/b"),
        ("OSError(errno.ENOSPC, 'No space left on device')", 1, "No space left on device"),
        ("PermissionError(13, 'Permission denied', 'a/b')", 1, "Permission denied: a/b"),
        ("FileNotFoundError(2, 'No such file or directory', 'a/b')", 1, "No such file or directory: a/b"),
    ],
)
def test_what_the_user_can_mend_is_one_line(
    error: str, status: int, message: str, untrained: Path, install: Callable[..., None], lenskit: Callable[..., Any]
) -> None:
    install("acme", EVALUATION, acme_fail=FAIL)
    assert lenskit("fail", untrained, "--error", error).complaint(status) == message


def test_an_interrupt_is_status_130(untrained: Path, install: Callable[..., None], lenskit: Callable[..., Any]) -> None:
    install("acme", EVALUATION, acme_fail=FAIL)
    outcome = lenskit("fail", untrained, "--error", "KeyboardInterrupt()")
    assert outcome.status == 130
    assert outcome.err == "\nlenskit: stopped\n"  # after the ^C that the terminal prints


@pytest.mark.parametrize("error", ["RuntimeError('a bug')", "OSError(5, 'Input/output error')"])
def test_a_bug_is_not_hidden(
    error: str, untrained: Path, install: Callable[..., None], lenskit: Callable[..., Any], monkeypatch: Any
) -> None:
    install("acme", EVALUATION, acme_fail=FAIL)
    line = lenskit("fail", untrained, "--error", error).complaint(1)
    assert line.startswith("evaluation 'fail' of lenskit-ssl-acme 1.0 failed: ")
    monkeypatch.setenv("LENSKIT_STRICT", "1")
    with pytest.raises((RuntimeError, OSError), match="a bug|Input/output error"):
        run(["fail", str(untrained), "--error", error])


def test_a_broken_plugin_does_not_keep_the_others_from_their_work(
    install: Callable[..., None], lenskit: Callable[..., Any]
) -> None:
    install("acme", "raise RuntimeError('no luck')")
    outcome = lenskit("list")
    assert outcome.status == 0
    assert "simsiam" in outcome.out
    assert (
        outcome.err
        == "lenskit: plugin 'acme' of lenskit-ssl-acme 1.0 is left out: RuntimeError: no luck (acme_hooks, line 3)\n"
    )


def test_two_evaluations_of_one_name_are_a_question(
    untrained: Path, install: Callable[..., None], lenskit: Callable[..., Any]
) -> None:
    install("acme", EVALUATION, acme_fail=FAIL)
    install("zebra", EVALUATION.replace("acme_fail", "zebra_fail"), zebra_fail=FAIL)
    shown = [line.split()[0] for line in lenskit("--help").out.splitlines() if "  fail" in line]
    assert shown == ["fail@lenskit-ssl-acme", "fail@lenskit-ssl-zebra"]
    assert lenskit("fail", untrained).complaint().startswith(
        "evaluation 'fail' is in 2 plugins (lenskit-ssl-acme 1.0, lenskit-ssl-zebra 1.0): type "
    )  # fmt: skip
    assert lenskit("fail@lenskit-ssl-zebra", untrained, "--error", "KeyboardInterrupt()").status == 130


def test_an_evaluation_cannot_take_the_place_of_a_verb(
    install: Callable[..., None], lenskit: Callable[..., Any]
) -> None:
    install("acme", EVALUATION.replace('"fail"', '"list"'), acme_fail=FAIL)
    assert lenskit("--help").out.count("  list ") == 1
    assert "simsiam" in lenskit("list").out


@pytest.mark.parametrize("line", ["--help", "list", "list methods --json", "plugins", "info toys", "trian"])
def test_imports_nothing_heavy(line: str) -> None:
    code = (
        "import sys\nfrom lenskit.cli.main import run\n"
        f"run({line.split()!r})\n"
        "print('imported', *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.splitlines()[-1].split())
    assert "lenskit_lensing" in imported
    assert not HEAVY & imported


@pytest.mark.slow
def test_the_installed_command_and_the_module_are_the_same() -> None:
    script = Path(sys.executable).with_name("lenskit")
    outputs = {
        subprocess.run([*command, "list"], capture_output=True, text=True, check=True).stdout
        for command in ([script], [sys.executable, "-m", "lenskit.cli"])
    }
    assert len(outputs) == 1


def test_a_reader_that_goes_away_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "lenskit.cli", "list", "--json"], stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


# --- Commands of plugins ---

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
    message = "command 'acme' is in 2 plugins (lenskit-ssl-acme 1.0, lenskit-ssl-zebra 1.0): type "
    assert lenskit("acme").complaint().startswith(message)
    assert lenskit("acme@lenskit-ssl-zebra").status == 3


FORM = (
    "a name must have up to 64 lower-case letters, digits, dots, hyphens and underscores, "
    "and begin with a letter or a digit"
)
REFUSED = {
    "train": "lenskit has a verb of this name",
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
        assert outcome.err == f"lenskit: {where}: TypeError: acme is not a click.Command\n"
    assert lenskit("--help").status == 0
