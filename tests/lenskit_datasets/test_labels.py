from __future__ import annotations

import logging
import math

import pytest

from lenskit.errors import UsageError
from lenskit_datasets.labels import read_labels, stem

NAMES = ["a", "b", "c"]


@pytest.fixture
def table(tmp_path):
    def write(text: str):
        path = tmp_path / "labels.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_columns_become_parameters(table, caplog):
    caplog.set_level(logging.INFO)
    path = table("# from a paper\nname,theta_E_sie_arcsec,survey,pa_deg,q\nb.fits,1.2,SLACS,30,\na,0.8,BELLS,nan,.5\n")
    parameters, values = read_labels(path, NAMES, {})
    assert [(p.name, p.unit, p.headline) for p in parameters] == [
        ("theta_E", "arcsec", True),
        ("pa_deg", "deg", False),
        ("q", "", False),
    ]
    assert values.dtype == "float32"
    assert values[:, 0].tolist() == pytest.approx([0.8, 1.2, math.nan], nan_ok=True)
    assert values[:, 1].tolist() == pytest.approx([math.nan, 30, math.nan], nan_ok=True)
    assert values[:, 2].tolist() == pytest.approx([0.5, math.nan, math.nan], nan_ok=True)
    assert "no row for 1 of 3 images" in caplog.text
    assert "left out, since they hold other than numbers: survey ('SLACS')" in caplog.text
    assert {record.name for record in caplog.records} == {"lenskit"}  # the one that the command line shows


def test_entries_that_are_not_known(table, caplog):
    """They cost no column; text does, and is told in one line however many columns hold some."""
    path = table('name,q,z,note,limit\na,N/A,none,"far: off",>1\nb,.5,NULL,x,2\nc,NaN,1,y,3\n')
    parameters, values = read_labels(path, NAMES, {})
    assert [p.name for p in parameters] == ["q", "z"]
    assert values.T.ravel().tolist() == pytest.approx([math.nan, 0.5, math.nan, math.nan, math.nan, 1], nan_ok=True)
    (told,) = caplog.records
    assert (told.levelname, told.getMessage().count("\n")) == ("WARNING", 0)
    assert told.getMessage().endswith("other than numbers: note ('far: off'), limit ('>1')")


def test_named_columns(table):
    path = table("name,b_SIE,theta_E_sie,theta_E_epl\na,1,2,3\n")
    parameters, values = read_labels(path, ["a"], {"theta_E": "theta_E_epl", "b": "b_SIE"})
    assert dict(zip([p.name for p in parameters], values[0].tolist(), strict=True)) == {
        "theta_E_sie": 2, "theta_E": 3, "b": 1,
    }  # fmt: skip


def test_exact_name_goes_before_similar_ones(table):
    parameters, values = read_labels(table("name,theta_E_err,theta_E\na,.1,1.5\n"), ["a"], {})
    assert [p.name for p in parameters] == ["theta_E_err", "theta_E"]
    assert values[0].tolist() == pytest.approx([0.1, 1.5])


def test_byte_order_mark_and_blank_lines(table):
    _, values = read_labels(table("\ufeffname,q\r\n\r\na, .5 \r\n"), ["a"], {})
    assert values.tolist() == [[0.5]]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("", {}, "is empty"),
        ("name,q\n", {}, r"first column names none of the images \(such as 'a'\)"),
        ("name,q\nx,1\n", {}, r"first column \(such as 'x'\) names none of the images"),
        ("name,q\na,1\na,2\n", {}, "two rows"),
        ("name,q\na,1\na.fits,2\n", {}, "two rows"),
        ("name,q,q\na,1,2\n", {}, "line 1: two columns are called 'q'"),
        ("name,q\na,1,2\n", {}, "line 2: 3 cells, where the header has 2"),
        ("name,theta_E_1,theta_E_2\na,1,2\n", {}, "which of theta_E_1, theta_E_2 is theta_E"),
        ("name,q\na,1\n", {"theta_E": "r"}, "no column of numbers 'r' for theta_E; it has q"),
        ("name,kind\na,x\n", {"theta_E": "kind"}, "no column of numbers"),
    ],
)
def test_bad_tables(table, text, columns, message):
    with pytest.raises(UsageError, match=message) as error:
        read_labels(table(text), NAMES, columns)
    assert "\n" not in str(error.value)


def test_table_that_is_no_text(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(UsageError, match="comma-separated"):
        read_labels(path, NAMES, {})


@pytest.mark.parametrize("suffix", ["", ".fits", ".fits.gz", ".fits.fz"])
def test_stem(suffix):
    assert stem(f"J0946+1006.v2{suffix}") == "J0946+1006.v2"
