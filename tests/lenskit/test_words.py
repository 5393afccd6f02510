"""Text from users and plugins is displayed, and never interpreted."""

from __future__ import annotations

import io
import logging
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from lenskit.config import Config
from lenskit.drawing import save_figure
from lenskit.files import write_atomically
from lenskit.logs import LONGEST, OneLine
from lenskit.words import MESSAGE, as_label, as_markdown, escaped, listed, quoted, reason, shortened

NASTY = "\x1b[31mred\x1b[0m\r\n\x07\u202e\u2028\x9b31m\udcff[bold]x[/bold] :smile: <b>$x"


@given(st.text(st.characters()))
def test_what_is_escaped_can_be_printed_and_read_back(text: str) -> None:
    assert escaped(text).isprintable()
    if "\\" not in text:
        # Surrogates are no text, and come back as themselves.
        assert escaped(text).encode("latin-1", "backslashreplace").decode("unicode_escape") == text


@pytest.mark.slow
@given(st.text(), st.integers(10, 50))
def test_a_shortened_text_has_its_beginning_and_its_end(text: str, most: int) -> None:
    short = shortened(text, most)
    assert len(short) <= most
    assert short == text or (short[0], short[-1], short.count(" ... ") >= 1) == (text[0], text[-1], True)


def test_lists_and_values_are_short() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(range(20), 3, "`lenskit list`") == "0, 1, 2 and 17 more; see `lenskit list`"
    assert listed(["\x1b[2J", 200 * "x"]).startswith("\\x1b[2J, xxx")
    assert len(listed(1000 * ["x" * 1000])) < 300
    assert listed([90 * "a", 90 * "b", 90 * "c"]) == f"{90 * 'a'}, {90 * 'b'} and 1 more"
    assert quoted("a\x1bb") == r"'a\x1bb'"
    assert quoted(1 << 20000) == "a number of 20001 bits"
    assert quoted([1 << 20000]) == "a list"
    assert len(quoted("9" * 5000)) <= 80


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--method", NASTY], "unknown method"),
        (["train", "--data", NASTY], "there are no data at"),
        (["train", "--set", f"method.{NASTY}=1"], "--set takes one option in one line"),
        (["train", "--set", f"{NASTY[:12]}.lr=1"], "unknown section"),
        (["train", "--recipe", f"{NASTY}.toml"], "cannot be read"),
        (["train", "--" + NASTY], "o such option"),
        ([NASTY], "there is no verb"),
        (["info", NASTY], "unknown component"),
        (["list", NASTY], "there is no kind"),
        (["probe", NASTY], "there is no run directory"),
        (["evaluate", NASTY, "x"], "there is no evaluation"),
        (["train", "--method", "x" * 100000], "unknown method"),
        (["train", "--data", "x" * 4000], "there are no data at"),
        (["runs", NASTY], "there is no folder"),
    ],
)
def test_complaints_are_one_short_line_that_can_be_printed(
    arguments: list[str], said: str, lenskit: Callable[..., Any]
) -> None:
    line = lenskit(*arguments).complaint()
    assert said in line
    assert line.isprintable()
    assert len(line) <= MESSAGE


@pytest.mark.parametrize("arguments", [["train", "--method", "qqq"], ["train", "--recipe", "qqq"]])
def test_a_long_list_is_cut_and_says_where_all_of_it_is(arguments: list[str], lenskit: Callable[..., Any]) -> None:
    line = lenskit(*arguments).complaint()
    assert len(line) <= MESSAGE
    advice = line.rpartition("see `lenskit ")[2].partition("`")[0].split()
    assert advice[0] == "list"
    assert lenskit(*advice).status == 0


HOOKS = r"""
@hookimpl
def lenskit_pairs():
    return [Component("odd", "acme_odd:Odd", "\x1b[31mred\x1b[0m [bold]bold[/bold] :smile:")]
"""
ODD = r'''
from lenskit.plugin import Transform

class Odd(Transform):
    """Odd.

    Args:
        mark: \x1b[2J of [red]
    """

    def __init__(self, *, mark: str = "\x1b[2J") -> None: ...
'''


def test_what_a_plugin_says_is_shown_as_it_is(install: Callable[..., None], lenskit: Callable[..., Any]) -> None:
    install("acme", HOOKS, acme_odd=ODD.replace(r"\x1b[2J of", "\x1b[2J of"))
    for arguments in (["list"], ["list", "pairs"], ["info", "odd"]):
        outcome = lenskit(*arguments)
        assert outcome.status == 0
        assert outcome.out.replace("\n", "").isprintable()
        assert (r"\x1b[" in outcome.out and "[bold]bold[/bold] :smile:" in outcome.out) or arguments[0] == "info"


def test_a_plugin_that_fails_cannot_forge_lines(install: Callable[..., None], lenskit: Callable[..., Any]) -> None:
    install("acme", 'raise RuntimeError("\\x1b[31m" + 1000 * "x" + "\\n")')
    outcome = lenskit("plugins")
    assert outcome.err[:-1].isprintable()
    assert len(outcome.err) < 420
    assert outcome.out.replace("\n", "").isprintable()


def test_runs_with_markup_in_their_names_are_listed_by_them(lenskit: Callable[..., Any]) -> None:
    names = ["[bold]a[/bold]", "[", "[/red]", ":smile:", "\x1b[31mb", "c\nd", "[link=file:///x]e[/link]"]
    config = Config.resolve({"method": {"name": "simclr"}, "pairs": {"name": "default"}})
    for name in names:
        Path("runs", name.replace("/", "∕")).mkdir(parents=True)
        Path("runs", name.replace("/", "∕"), "run.toml").write_text(config.to_toml())
    outcome = lenskit("runs")
    assert outcome.status == 0
    assert all(escaped(name).replace("/", "∕") in outcome.out for name in names)
    assert outcome.out.replace("\n", "").isprintable()
    paths = [str(path) for path in sorted(Path("runs").iterdir())]
    compared = lenskit("runs", "compare", *paths)
    assert compared.status == 0
    assert compared.out.replace("\n", "").isprintable()


def test_a_record_is_one_line_of_the_log() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLine("%(levelname)s %(message)s"))
    handler.handle(logging.makeLogRecord({"levelname": "INFO", "msg": "file %s", "args": (NASTY,)}))
    assert stream.getvalue() == f"INFO file {escaped(NASTY)}\n"


def test_a_long_record_is_cut() -> None:
    line = OneLine("%(message)s").format(logging.makeLogRecord({"msg": "start" + 10**5 * "x" + "end"}))
    assert (len(line), line[:5], line[-3:]) == (LONGEST, "start", "end")


def test_a_configuration_is_printed_as_toml_that_no_terminal_obeys() -> None:
    text = "\x1b[31m \x9b \u202e \xa0 \U000e0041 ü"
    toml = Config({"data": {"name": "fits-folder", "path": text}}).to_toml()
    assert toml.replace("\n", "").isprintable()
    assert tomllib.loads(toml)["data"]["path"] == text


def test_names_in_markdown_make_no_markup() -> None:
    assert as_markdown("a|b<img src=x>`c`[d](e)\n# f") == r"a\|b&lt;img src=x>\`c\`[d]\(e)\n# f"
    assert as_markdown("theta_E [arcsec]") == "theta_E [arcsec]"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["$x$y$", r"$\frac{$", "a$b", "$$", r"$\bad$", r"\$", "$_$", "a\x1b\udcffb", "$5 and $6"]
)
@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_any_name_can_be_drawn(name: str, ending: str) -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.set_title(as_label(name))
    axes.set_xlabel(name)
    axes.plot([0, 1], label=name)
    axes.set_xticks([0], [escaped(name)])
    figure.suptitle(f"$R^2$ of {name}")
    figure.legend()
    save_figure(figure, file := io.BytesIO(), format=ending)
    assert file.getvalue()


def test_a_label_is_no_formula() -> None:
    figure = Figure()
    axes = figure.subplots()
    width = {}
    for text in ("a$x^2$b", as_label("a$x^2$b")):
        axes.set_title(text)
        figure.canvas.draw()
        width[text] = axes.title.get_window_extent().width
    assert width["a$x^2$b"] < width[as_label("a$x^2$b")]


def test_a_name_that_is_no_text_is_written_as_an_escape_sequence(tmp_path: Path) -> None:
    write_atomically(tmp_path / "x.csv", "a\udcff\n")
    assert (tmp_path / "x.csv").read_text() == "a\\udcff\n"


def test_no_advice_to_load_a_file_unsafely(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}], object))
    torch.save({"a": Path("x")}, tmp_path / "x.pt")
    (tmp_path / "y.pt").write_bytes(b"hello")
    loads = {
        "x.npy": lambda path: np.load(path, allow_pickle=False),
        "x.pt": lambda path: torch.load(path, weights_only=True),
        "y.pt": lambda path: torch.load(path, weights_only=True),
    }
    for name, load in loads.items():
        with pytest.raises(Exception) as caught:  # noqa: PT011 -- whatever the library raises
            load(tmp_path / name)
        assert not {"weights_only", "allow_pickle"} & {*reason(caught.value).replace("=", " ").split()}
    assert reason(ValueError("a\n  b\x1b")) == r"a b\x1b"
