"""Tables from CSV, JSON and Python, and one-line errors for invalid ones."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenskit.errors import UsageError
from lenskit.kinds.parameter import Parameter
from lenskit.rendering.table import Table, number, read_table, with_units

NUMBERS = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
COLUMNS = st.integers(1, 4).flatmap(
    lambda rows: st.dictionaries(st.sampled_from("abcd"), st.lists(NUMBERS, min_size=rows, max_size=rows), min_size=1)
)


def written(text: str, name: str = "lenses.csv") -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name


def numbers(table: Table) -> dict[str, list[float | None]]:
    read = {name: [number(table, row, name) for row in range(len(table))] for name in table.columns}
    return {name: [None if math.isnan(value) else value for value in values] for name, values in read.items()}


@pytest.mark.slow
@given(columns=COLUMNS)
def test_all_that_hold_the_same_are_read_as_the_same(columns: dict[str, list[float | None]]) -> None:
    """Numbers as columns, as rows, and as JSON of either give the same table."""
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    for read in (columns, rows, json.loads(json.dumps(columns))):
        assert numbers(read_table(read)) == columns


def test_csv_may_have_comments_spaces_and_empty_cells() -> None:
    table = read_table(written("# of someone\nname , a,b\n  x,1 , 2e-3\n\n# half way\ny,,'3'\n"))
    assert table.columns == {"name": ["x", "y"], "a": ["1", None], "b": ["2e-3", "'3'"]}
    assert table.places == ["line 3", "line 6"]
    assert (table.names(), numbers(table.without(["name", "b"]))) == (["x", "y"], {"a": [1.0, None]})


def test_a_data_frame_is_a_table() -> None:
    table = read_table(pd.DataFrame({"name": ["x", "y"], "a": [1, 2], "b": [0.5, 1.5]}))
    assert (table.names(), numbers(table.without(["name"]))) == (["x", "y"], {"a": [1.0, 2.0], "b": [0.5, 1.5]})


def test_images_without_names_are_called_by_numbers_that_sort() -> None:
    names = read_table({"a": list(range(11))}).names()
    assert names == sorted(names)
    assert names[0] == "00"
    assert names[10] == "10"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "lenses.csv is empty: a table has a header and a row for each lens"),
        ("# nothing\n", "lenses.csv is empty"),
        ("a,b\n", "lenses.csv has no rows: each row is one lens"),
        ("a,a\n1,2\n", "lenses.csv, line 1: two columns are called 'a'"),
        ("a,\n1,2\n", "lenses.csv, line 1: column 2 has no name"),
        ("a,b\n1,2\n\n1\n", "lenses.csv, line 4: 1 cells, but the header has 2"),
        ('a\n"1\n', "lenses.csv, line 2: invalid comma-separated values"),
    ],
)
def test_a_csv_file_that_is_no_table_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as error:
        read_table(written(text))
    assert str(error.value).startswith(complaint)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[{}", "lenses.json, line 1, column 4: invalid JSON"),
        ("3", "lenses.json is not a table: use a list of objects, one for each lens, or an object of lists"),
        ("[]", "lenses.json has no rows"),
        ('[{"a": 1, "a": 2}]', "lenses.json: 'a' occurs twice in one object"),
        ('[{"a": true}]', "lenses.json, row 0 (from 0), column a: True is neither a number nor a text"),
        ('[{"a": 1}, {"a": [1]}]', "lenses.json, row 1 (from 0), column a: [1] is neither a number nor a text"),
        ('{"a": 1}', "lenses.json: column a is 1, not a list with an entry for each lens"),
        ('{"a": [1], "b": [1, 2]}', "lenses.json: column b has 2 rows, and a has 1"),
        ('{"": [1]}', "lenses.json: '' cannot be the name of a column"),
    ],
)
def test_json_that_is_no_table_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as error:
        read_table(written(text, "lenses.json"))
    assert str(error.value).startswith(complaint)


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("lenses.txt", "the name of a table must end with .csv or .json"),
        ("none.csv", "none.csv cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_a_table_is_refused(path: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        read_table(path)


def test_text_in_no_known_encoding_is_refused() -> None:
    Path("lenses.csv").write_bytes(b"a\n\xff\xfe1\n")
    with pytest.raises(UsageError, match=r"lenses.csv is not a table .*: it is not UTF-8 text \(byte 0xff on line 2\)"):
        read_table("lenses.csv")


@pytest.mark.parametrize("cell", ["nan", "inf", "-Infinity", "one", "1e999"])
def test_what_is_no_finite_number_is_refused_with_its_place(cell: str) -> None:
    table = read_table(written(f"a,b\n1,2\n3,{cell}\n"))
    with pytest.raises(UsageError, match=rf"^lenses.csv, line 3, column b: '{cell}' is"):
        number(table, 1, "b")


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        ("x,y,x", "line 4, column name: 'x' is also the name of line 2"),
        ("x,../y,z", "line 3, column name: '../y' is not a valid name for an image"),
        ("x,.,z", "line 3, column name: '.' is not a valid name for an image"),
        ("x,,z", "line 3, column name: '' is not a valid name for an image"),
    ],
)
def test_names_name_one_image_each(names: str, complaint: str) -> None:
    table = read_table(written("a,name\n" + "".join(f"1,{name}\n" for name in names.split(","))))
    with pytest.raises(UsageError) as error:
        table.names()
    assert str(error.value) == f"lenses.csv, {complaint}"


def test_only_columns_that_are_there_can_be_ignored() -> None:
    with pytest.raises(UsageError, match=r"no column 'theta' to ignore \(did you mean theta_E\?\)"):
        read_table({"theta_E": [1.0]}).without(["theta"])


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA])
def test_what_a_data_frame_misses_is_drawn(missing: object) -> None:
    frame = pd.DataFrame({"a": [1.5, missing], "b": ["x", missing], "c": [1, 2]})
    assert read_table(frame).columns == {"a": [1.5, None], "b": ["x", None], "c": [1, 2]}


def test_a_name_that_is_too_long_for_a_file_is_refused_with_its_line() -> None:
    table = read_table(written(f"name\n{'ä' * 120}\n{'ä' * 120}b\n"))
    with pytest.raises(UsageError, match=r"line 3, column name: 'ää.*\.\.\. has more than 240 bytes"):
        table.names()
    assert len(read_table(written(f"name\n{'ä' * 120}\n")).names()) == 1


RADIUS = {"theta_E": Parameter("theta_E", "arcsec"), "phi": Parameter("phi", "rad"), "q": Parameter("q")}


@pytest.mark.parametrize(
    ("column", "given", "name", "expected"),
    [
        ("theta_E_mas", ["1200", None], "theta_E", [1.2, None]),
        ("theta_E [rad]", [1 / 206264.80624709636], "theta_E", [1.0]),
        ("theta_E_arcsec", ["1.2"], "theta_E", ["1.2"]),
        ("phi(deg)", [90.0], "phi", [math.pi / 2]),
        ("q_deg", [1.0], "q_deg", [1.0]),
        ("psi_deg", [1.0], "psi_deg", [1.0]),
    ],
)
def test_units_in_names_of_columns(column: str, given: list, name: str, expected: list) -> None:
    table = with_units(read_table({"name": [f"n{row}" for row in range(len(given))], column: given}), RADIUS)
    assert list(table.parameters) == [name]
    assert table.columns[name] == [
        cell if cell is None or isinstance(cell, str) else pytest.approx(cell) for cell in expected
    ]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"theta_E": [1], "theta_E_mas": [1]}, "the table: columns theta_E and theta_E_mas are the same parameter"),
        ({"theta_E_kpc": [1]}, "the table: column theta_E_kpc is in kpc, but theta_E is in arcsec: convert it"),
        ({"theta_E_mas": ["x"]}, "the table, row 0 (from 0), column theta_E_mas: 'x' is not a number"),
    ],
)
def test_units_that_cannot_be_taken(columns: dict, complaint: str) -> None:
    with pytest.raises(UsageError) as error:
        with_units(read_table(columns), RADIUS)
    assert str(error.value).startswith(complaint)


@pytest.mark.parametrize("cell", ["41229853041234567", 41229853041234567, "1_2", "--"])
def test_what_no_float_holds_or_only_python_reads(cell: object) -> None:
    with pytest.raises(UsageError, match=r"column a: .*(has too many digits|is not a number)"):
        number(read_table({"a": [cell]}), 0, "a")


@pytest.mark.parametrize("text", ["[" * 100_000, "[" + "9" * 5000 + "]"])
def test_json_that_python_does_not_take(text: str) -> None:
    with pytest.raises(UsageError, match="lenses.json is not a table: "):
        read_table(written(text, "lenses.json"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            r'[{"name": "a", "q": 1}, {"name": "\ud800", "q": 1}]',
            r"row 1 \(from 0\), column name: '\\ud800' is not valid",
        ),
        (r'{"\udfff": [1]}', r"lenses.json: the name of column '\\udfff' is not valid Unicode"),
    ],
)
def test_json_with_half_a_character(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_table(written(text, "lenses.json"))


def test_the_header_may_be_a_comment_and_an_index_has_no_name() -> None:
    assert read_table(written("# name,a\nx,1\n")).columns == {"name": ["x"], "a": ["1"]}
    with pytest.raises(UsageError, match=r"lenses.csv, line 1: column 1 has no name"):
        read_table(written(",a\nx,1\n"))


def test_a_data_frame_with_two_columns_of_one_name() -> None:
    with pytest.raises(UsageError, match="the table: two columns are called 'a'"):
        read_table(pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]))
