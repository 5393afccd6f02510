"""Program `lenskit`: verbs, errors in one line, exit status and lazy imports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from lenskit.cli.main import VERBS, cli, run
from lenskit.config import Config
from lenskit.layers import read_recipe

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
        "evaluation 'fail' is brought by 2 plugins (lenskit-ssl-acme 1.0, lenskit-ssl-zebra 1.0): say which"
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
