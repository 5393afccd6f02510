"""Generated pages: up to date, and nothing without a description."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import click
import pytest

from lenskit.component import KINDS
from lenskit.options import description
from lenskit.registry import registry
from tests.docs.reference import cli, components, configuration, python, recipes
from tests.docs.reference.markdown import DOCS, linked, table
from tests.docs.reference.pages import pages

pytestmark = pytest.mark.slow

EMPTY = re.compile(r"^\|.*\|\s*\|$", re.MULTILINE)
"""Row of a table without a text in its last column."""


@pytest.fixture(scope="module")
def written() -> dict[Path, str]:
    """Return the generated pages."""
    return pages()


def test_the_pages_are_up_to_date(written: dict[Path, str]) -> None:
    old = [str(path) for path, text in written.items() if not path.exists() or path.read_text() != text]
    assert old == [], "run python -m tests.docs.reference"


def test_no_other_page_is_in_the_reference(written: dict[Path, str]) -> None:
    assert {*(DOCS / "reference").rglob("*.md")} - {*written} == set()


def test_the_pages_do_not_depend_on_installed_plugins(written: dict[Path, str]) -> None:
    others = {record.name for record in registry().records if not record.is_bundled}
    bundled = {record.name for record in registry().records if record.is_bundled}
    assert others - bundled  # the toys
    text = "\n".join(written.values())
    assert [name for name in others - bundled if f"## {name}\n" in text or f"lenskit {name}`" in text] == []


def test_every_bundled_component_has_a_section_with_a_description(written: dict[Path, str]) -> None:
    bundled = [record for record in registry().records if record.is_bundled]
    absent = [each.origin for each in bundled if f"## {each.name}\n" not in written[components.page_of(each.kind)]]
    silent = [each.origin for each in bundled if each.kind in configured() and not description(each.load())]
    assert (absent, silent) == ([], [])


def configured() -> set[str]:
    """Return the kinds that are classes."""
    return {*KINDS} - {"encoder", "instrument", "recipe", "command"}


def test_every_command_option_and_public_name_is_described(written: dict[Path, str]) -> None:
    commands = [name for name, command in cli.commands() if not command.help]
    names = [f"{module}.{name}" for module in python.MODULES for name in python.names(module)]
    assert commands == []
    assert [name for name in names if not python.summary(*name.rsplit(".", 1))] == []
    described = [cli.PAGE, configuration.PAGE, *map(components.page_of, configured()), *python.pages()]
    assert {path.name: EMPTY.findall(tables_of_options(written[path])) for path in described} == {
        path.name: [] for path in described
    }


def tables_of_options(text: str) -> str:
    """Return the tables of a page whose last column describes an option or a name."""
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return "\n".join(each for each in tables if re.match(r"\| .*(meaning|purpose|summary) \|\n", each))


def test_an_option_without_a_text_is_found() -> None:
    named = click.Option(["--size"], help="Size in pixels. [default: that of the images]")
    silent = click.Option(["--level"], type=click.IntRange(1, 9))
    text = table(["option", "value", "default", "meaning"], map(cli.option, (named, silent)))
    assert EMPTY.findall(tables_of_options(f"{text}\n")) == ["| `--level` | integer from 1 to 9 |  |  |"]
    assert "| `--size` | text | that of the images | Size in pixels. |" in text


def test_every_public_class_member_has_a_docstring() -> None:
    silent = set()
    for module in ("lenskit", "lenskit.plugin", "lenskit.evaluation", "lenskit.toolbox"):
        for name in python.names(module):
            value = getattr(__import__(module, fromlist=[name]), name)
            if inspect.isclass(value):
                members = (each for each in vars(value) if not each.startswith("_"))
                silent |= {
                    f"{module}.{name}.{each}"
                    for each in members
                    if callable(getattr(value, each)) or isinstance(vars(value)[each], property)
                    if not inspect.getdoc(getattr(value, each))
                }
    assert silent == set()


def test_every_bundled_recipe_has_cost_and_results() -> None:
    known = recipes.measured()
    assert {*known} == {record.name for record in components.bundled("recipe")}
    for name, entry in known.items():
        assert {*recipes.FIELDS} <= {*entry} <= {*recipes.FIELDS, "source"}, name
        measured = entry["measured"] != "no"
        assert ("source" in entry) == measured, name
        assert measured or "not measured" in entry["expected"], name


def test_the_length_of_a_line_does_not_matter(written: dict[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert cli.page() == written[cli.PAGE]


def test_addresses_and_pages_become_links() -> None:
    page = DOCS / "reference" / "methods.md"
    text = "A loss (https://arxiv.org/abs/2011.10566, Sec. 3); see docs/guides/pairs.md."
    assert linked(text, page) == (
        "A loss (<https://arxiv.org/abs/2011.10566>, Sec. 3); see [guides/pairs](../guides/pairs.md)."
    )
