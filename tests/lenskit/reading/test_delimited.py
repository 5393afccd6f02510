"""Text tables of people and programs, and one line about faulty tables."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.table import MaskedColumn, Table
from hypothesis import given
from hypothesis import strategies as st

from lenskit.errors import UsageError
from lenskit.reading.delimited import NOT_KNOWN, Delimited, parse_number, read_delimited, read_number, read_numbers

PLAIN = "name,q,z\na,1,2\nb,.5,3\n"
HEADER, ROWS = ["name", "q", "z"], [["a", "1", "2"], ["b", ".5", "3"]]


def read(content: str | bytes, **options: bool) -> Delimited:
    path = Path("labels.csv")
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_delimited(path, **options)


def complaint(content: str | bytes, **options: bool) -> str:
    with pytest.raises(UsageError) as error:
        read(content, **options)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
    return str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        "\ufeff" + PLAIN,
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.encode("utf-16"),
        PLAIN.replace(",", " , ").replace("\n", "\n\n,,\n"),
        "# from Smith, 2020, ApJ\n" + PLAIN,
        "# of someone\n  # " + PLAIN,
        PLAIN.replace("\n", ",\n"),
        PLAIN.replace("\n", ",\n", 1),
        PLAIN.replace("2\n", "2,,\n"),
        PLAIN.replace("z\n", "z\n# below, 1, 2\n"),
        PLAIN.replace("name,q,z", '"name","q", "z"'),
    ],
)
def test_tables_that_hold_the_same(content: str | bytes) -> None:
    table = read(content)
    assert (table.header, table.rows) == (HEADER, ROWS)


def test_the_header_may_be_a_comment() -> None:
    np.savetxt("labels.csv", [[1.5, 2], [2.5, 3]], header="q,z", delimiter=",")
    table = read_delimited(Path("labels.csv"))
    assert (table.header, table.header_line, table.lines) == (["q", "z"], 1, [2, 3])
    Table({"name": ["a"], "q": [1.5]}).write(
        "labels.csv", format="ascii.commented_header", delimiter=",", overwrite=True
    )
    assert read_delimited(Path("labels.csv")).header == ["name", "q"]
    assert read("# name,q\na,--\nb,1\n").rows == [["a", "--"], ["b", "1"]]
    assert read("# 1,2\nname,q\na,1\n").header == ["name", "q"]


@pytest.mark.parametrize("content", ["a,1\nb,2\n", "# two columns\na,1\n", "# name,q,z\na,1\n", "# a,2\nb,3\n"])
def test_a_table_without_a_header_is_refused(content: str) -> None:
    assert "has no header: line " in complaint(content)
    assert read("name,q\n" + content).header == ["name", "q"]


def test_units_of_ecsv_are_not_left_out_in_silence() -> None:
    table = Table({"name": ["a"], "theta_E": [1.5]})
    table.write("labels.csv", format="ascii.ecsv", delimiter=",")
    assert read_delimited(Path("labels.csv")).rows == [["a", "1.5"]]
    table["theta_E"].unit = "rad"
    table.write("labels.csv", format="ascii.ecsv", delimiter=",", overwrite=True)
    content = Path("labels.csv").read_text()
    assert "is an ECSV table with units, which lenskit does not read: write the unit" in complaint(content)
    lines = [line for line in content.replace("theta_E", "theta_E_rad").splitlines() if not line.startswith("#")]
    assert read("\n".join(lines)).header == ["name", "theta_E_rad"]


def test_quotes_protect_line_ends_and_comment_marks() -> None:
    table = read('name,note\na,"two\n# lines, ""quoted"""\n"#b",x\n# left out,x\nc,y\n')
    assert table.rows == [["a", 'two\n# lines, "quoted"'], ["#b", "x"], ["c", "y"]]
    assert table.lines == [2, 4, 6]
    assert read("# c\nname,q\n#1,2\n", comments_below=False).rows == [["#1", "2"]]


def test_only_the_first_column_may_lack_a_name_as_an_index_of_pandas_does() -> None:
    pd.DataFrame({"q": [1.5]}, index=["a"]).to_csv("labels.csv")
    assert read_delimited(Path("labels.csv")).header == ["", "q"]
    assert complaint("name,,q\na,1,2\n") == "labels.csv, line 1: column 2 has no name"
    assert complaint("name,q,\na,1,2\n") == "labels.csv, line 1: column 3 has no name"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("# only this\n\n", "is empty"),
        ("name,q,q\na,1,2\n", "line 1: two columns are called 'q'"),
        ("name,q\n\na,1\nb\n", "line 4: 1 cells, but the header has 2"),
        ("name,q\na,1,2\n", "line 2: 3 cells, but the header has 2"),
        ("name q\na 1\n", "line 1: columns are separated by commas, semicolons or tabs, not by spaces"),
        ("# name q\na 1\n", "line 2: columns are separated by commas"),
        ('name,q\na,"1\n', "line 2: invalid comma-separated values"),
        (f"name,q\na,{'x' * 200_000}\n", "line 2: invalid comma-separated values: field larger than field limit"),
        ("name,größe\na,1\n".encode("latin-1"), "not UTF-8 text (byte 0xf6 on line 1); save it as UTF-8"),
        (PLAIN.encode("utf-16-le"), "holds zero bytes, so it is not text"),
        (PLAIN.encode("utf-32"), "holds zero bytes, so it is not text"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(content: str | bytes, said: str) -> None:
    assert said in complaint(content)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0")) | st.text("#,;\t\"'\n\r 1\u2028", max_size=4)


@pytest.mark.slow
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_what_csv_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list, end: str) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("name", "note"), *rows])
    path = tmp_path_factory.mktemp("delimited") / "a.csv"
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    stripped = [[cell.strip() for cell in row] for row in rows]
    assert read_delimited(path).rows == [row for row in stripped if any(row)]


@given(st.floats(allow_nan=False))
def test_numbers_are_those_of_python(value: float) -> None:
    assert parse_number(repr(value)) == read_number(repr(value)) == value
    for cells in ([repr(value)], [repr(value), "--"]):
        assert read_numbers(cells)[0] == value


@pytest.mark.parametrize("cell", ["1_2", "١", "1e400", "0x10", "1,5", "True", "", "--", "9" * 5000, "1\0"])
def test_what_is_no_number(cell: str) -> None:
    with pytest.raises(ValueError, match=r"number|float"):
        parse_number(cell)
    assert np.isnan(read_numbers(["1", "", "nan"])).tolist() == [False, True, True]
    if cell not in NOT_KNOWN:
        with pytest.raises(ValueError, match=r"number|float"):
            read_numbers(["1", cell])


def test_what_programs_write_for_an_unknown_number_is_nan() -> None:
    pd.DataFrame({"q": [1, None], "z": pd.array([1, None], "Int64")}).to_csv("labels.csv", index=False, na_rep="<NA>")
    assert np.isnan([read_number(cell) for cell in read_delimited(Path("labels.csv")).rows[1]]).all()
    Table({"q": MaskedColumn([1.5, 2.5], mask=[False, True]), "z": [1.0, np.nan]}).write("t.csv", format="ascii.csv")
    assert np.isnan([read_number(cell) for cell in read_delimited(Path("t.csv")).rows[1]]).all()
    assert np.isnan([read_number(cell) for cell in ("--", "#N/A", "NULL", "None", "-nan")]).all()
