from __future__ import annotations

import logging
import math
import os

import pytest
from astropy import units as u

from lenskit.errors import UsageError
from lenskit_datasets.labels import find_table, read_labels, stem

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
    assert "left out, because some entries are not numbers: survey ('SLACS')" in caplog.text
    assert {record.name for record in caplog.records} == {"lenskit"}  # the logger that the command line shows


def test_entries_that_are_not_known(table, caplog):
    """Unknown entries keep the column; columns of text are left out with one warning."""
    path = table('name,q,z,note,limit\na,N/A,none,"far: off",>1\nb,.5,NULL,x,2\nc,NaN,1,y,3\n')
    parameters, values = read_labels(path, NAMES, {})
    assert [p.name for p in parameters] == ["q", "z"]
    assert values.T.ravel().tolist() == pytest.approx([math.nan, 0.5, math.nan, math.nan, math.nan, 1], nan_ok=True)
    (told,) = caplog.records
    assert (told.levelname, told.getMessage().count("\n")) == ("WARNING", 0)
    assert told.getMessage().endswith("not numbers: note ('far: off'), limit ('>1')")


def test_of_many_columns_the_first_are_told(table, caplog):
    many = 2000
    columns, cells = (",".join(f"{start}{i}" for i in range(many)) for start in ("c", "x"))
    read_labels(table(f"name,q,{columns}\na,1,{cells}\n"), ["a"], {})
    assert caplog.records[-1].getMessage().endswith(f"and {many - 12} more")


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
        ("name,q\na,1,2\n", {}, "line 2: 3 cells, but the header has 2"),
        ("name,theta_E_sie,theta_E_epl\na,1,2\n", {}, "which of theta_E_sie, theta_E_epl is theta_E"),
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


def test_a_header_behind_a_comment_mark(table):
    parameters, values = read_labels(table("# name,theta_E\na,1.2\nb,1.3\nc,1.4\n"), NAMES, {})
    assert [p.name for p in parameters] == ["theta_E"]
    assert values[:, 0].tolist() == pytest.approx([1.2, 1.3, 1.4])


@pytest.mark.parametrize("unit", ["arcsec", "mas", "arcmin", "deg", "rad"])
@pytest.mark.parametrize("name", ["theta_E_{}", "theta_E [{}]", "theta_E({})", "theta_E_sie_{}", "b_{}"])
def test_einstein_radii_are_converted_to_arcsec(table, unit, name):
    """A column named in `columns` for theta_E is converted too."""
    value = float((1.25 * u.arcsec).to(unit).value)
    columns = {"theta_E": "b_" + unit} if name == "b_{}" else {}
    parameters, values = read_labels(table(f"name,{name.format(unit)},q\na,{value!r},1\n"), ["a"], columns)
    assert {p.name: (p.unit, p.headline) for p in parameters} == {"theta_E": ("arcsec", True), "q": ("", False)}
    assert sorted(values[0].tolist()) == pytest.approx([1, 1.25], rel=1e-6)


@pytest.mark.parametrize("name", ["theta_E_urad", "theta_E_log10", "theta_E_sq", "theta_E_arcsec_rad"])
def test_what_is_no_radius_keeps_its_name_and_values(table, name):
    parameters, values = read_labels(table(f"name,{name}\na,2.5\n"), ["a"], {})
    assert ([p.name for p in parameters], values.tolist()) == ([name], [[2.5]])


def test_other_columns_keep_names_and_values_and_say_their_units(table):
    path = table("name,pa_radians,theta_E_kpc,center_x [mas],theta_E_err_deg,r_mpc\na,1,2,3,4,5\n")
    parameters, values = read_labels(path, ["a"], {})
    assert {p.name: p.unit for p in parameters} == {
        "pa_radians": "rad", "theta_E_kpc": "kpc", "center_x [mas]": "mas", "theta_E_err_deg": "deg", "r_mpc": "Mpc",
    }  # fmt: skip
    assert values[0].tolist() == [1, 2, 3, 4, 5]
    with pytest.raises(UsageError, match="column theta_E_kpc is in kpc, but theta_E is an angle"):
        read_labels(path, ["a"], {"theta_E": "theta_E_kpc"})


@pytest.mark.parametrize("quote", ["", '"'])
def test_whole_numbers_that_are_too_long_are_left_out_and_named(table, caplog, quote):
    rows = [f"{name},{quote}{41229853041234567 + k}{quote},{2**24 + 1}.0,{2**30}" for k, name in enumerate("abc")]
    parameters, _ = read_labels(table("name,object_id,counts,power\n" + "\n".join(rows)), NAMES, {})
    assert [p.name for p in parameters] == ["counts", "power"]
    (told,) = caplog.records
    assert "float32 cannot hold their whole numbers: object_id (41229853041234567);" in told.getMessage()


def test_names_keep_their_zeros(table):
    _, values = read_labels(table("id,q\n007,1\n08,2\n"), ["007", "08"], {})
    assert values.tolist() == [[1], [2]]


def test_what_float32_cannot_hold_is_not_known(table, caplog):
    _, values = read_labels(table("name,q,z\na,1e39,1e-60\nb,-inf,0\nc,1,1e-40\n"), NAMES, {})
    assert values[:, 0].tolist() == pytest.approx([math.nan, math.nan, 1], nan_ok=True)
    assert values[:, 1].tolist() == pytest.approx([math.nan, 0, 1e-40], nan_ok=True, rel=1e-5, abs=0)
    assert caplog.records[0].getMessage().endswith("q: 2 values are outside the range of float32 and are unknown")


@pytest.mark.parametrize("cell", ["1_2", "1e400", "True", "0x10"])
def test_what_only_python_takes_for_a_number(table, caplog, cell):
    parameters, _ = read_labels(table(f"name,q\na,{cell}\nb,2\n"), NAMES, {})
    assert parameters == []
    assert f"not numbers: q ('{cell}')" in caplog.text


def test_an_index_of_pandas_is_said_to_be_one(table, caplog):
    with pytest.raises(UsageError, match=r"column \(such as '0'\) names none .*; it has no name: .* index=False"):
        read_labels(table(",name,q\n0,a,1\n1,b,2\n"), NAMES, {})
    assert not caplog.records
    with pytest.raises(UsageError, match="has one column only, 'name': a table of labels has comma-separated columns"):
        read_labels(table("name\na\n"), NAMES, {})


@pytest.mark.parametrize("named", [None, "labels.csv"])
@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (os.mkdir, "a folder"),
        (os.mkfifo, "a pipe or a device"),
        (lambda path: os.symlink("nowhere", path), "a broken link"),
    ],
)
def test_a_path_that_is_no_file_is_refused(tmp_path, make, kind, named):
    make(tmp_path / "labels.csv")
    with pytest.raises(UsageError, match=f"labels.csv is {kind}, not a table: move it away, or name a table: labels="):
        find_table(tmp_path, named)


def test_the_table_of_a_folder_is_optional_unless_it_is_named(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    assert find_table(folder, None) is None
    with pytest.raises(UsageError, match=r"no table of labels radii\.csv, neither in the working directory nor in"):
        find_table(folder, "radii.csv")
    (folder / "radii.csv").touch()
    assert find_table(folder, "radii.csv") == folder / "radii.csv"
