"""Code blocks of the documentation, as `make test-docs` runs them."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from lenskit.cli.main import cli
from tests.docs.blocks import PAGES, ROOT, RUN, SHOWN, blocks_of, given_to
from tests.docs.given import CONTENTS
from tests.docs.small import SIZES, smaller


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_declares_its_blocks(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = blocks_of(text)
    assert {block.language for block in blocks} <= {*RUN, *SHOWN}
    assert text.count("<!-- not run: ") == sum(block.reason is not None for block in blocks)
    assert text.count("<!-- given: ") == text.startswith("# ") * text.count("<!-- given: ")
    assert set(given_to(text).values()) <= CONTENTS.keys()


def test_blocks_have_their_text_and_reason() -> None:
    page = "# Page\n\n<!-- given: a/b = images; c.npz = features -->\n\n"
    page += "<!-- not run: no GPU -->\n```sh\nlenskit train\n```\n"
    page += "1. Item:\n   ```python\n   x = 1\n   ```\n\n```toml\n# a.toml\nx = 1\n```\n"
    first, second, third = blocks_of(page)
    assert (first.line, first.language, first.text, first.reason) == (7, "sh", "lenskit train\n", "no GPU")
    assert (second.line, second.text, second.reason, second.runs) == (11, "x = 1\n", None, True)
    assert (third.file, third.runs) == ("a.toml", False)
    assert given_to(page) == {"a/b": "images", "c.npz": "features"}


def test_sizes_are_appended_and_known_to_the_verbs() -> None:
    assert smaller(["train", "--epochs", "50"])[-6:] == ["--lenses", "16", "--epochs", "1", "--batch-size", "8"]
    assert smaller(["evaluate", "umap", "runs/a"])[-4:] == ["--lenses", "100", "--test-lenses", "50"]
    for complete in (["train", "--resume", "runs/a"], ["anomaly", "--scores", "a.csv"], ["list"]):
        assert smaller(complete) == complete
    for verb, sizes in SIZES.items():
        command = cli.get_command(click.Context(cli), verb)
        assert command is not None
        options = {option for parameter in command.params for option in parameter.opts}
        assert {f"--{name}" for name in sizes} <= options
