"""Choice of the reader for a path after `--data`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from lenskit.config import Config
from lenskit.data.readers import absolute_spec, find_reader, open_dataset, read_section, text_of
from lenskit.errors import UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "lenses"
    folder.mkdir()
    for number in range(3):
        fits.writeto(folder / f"{number}.fits", np.random.default_rng(number).normal(size=(24, 24)).astype("f4"))
    return folder


def test_a_path_finds_its_reader(folder: Path) -> None:
    assert find_reader(str(folder)) == ("fits-folder", folder)


def test_a_reader_can_be_named(folder: Path) -> None:
    assert find_reader(f"fits-folder:{folder}") == ("fits-folder", folder)


def test_opens_what_it_found(folder: Path) -> None:
    assert len(open_dataset(str(folder))) == 3
    assert open_dataset(str(folder), size=16).image_shape == (1, 16, 16)


def test_options_stand_behind_the_path(folder: Path) -> None:
    for named in ("", "fits-folder:"):
        text = f"{named}{folder}?size=16&pixel_scale=0.05&pattern=[01].fits"
        assert find_reader(text) == ("fits-folder", folder)
        dataset = open_dataset(text)
        assert (len(dataset), dataset.image_shape, dataset.pixel_scale) == (2, (1, 16, 16), 0.05)
        assert read_section(text) == {
            "name": "fits-folder", "path": str(folder), "size": 16, "pixel_scale": 0.05, "pattern": "[01].fits"
        }  # fmt: skip
    assert open_dataset(f"{folder}?size=16", size=20).image_shape == (1, 16, 16)


def test_data_can_be_named_from_any_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert absolute_spec("lenses") == f"fits-folder:{folder}"
    text = absolute_spec("lenses?size=16")
    monkeypatch.chdir("/")
    assert open_dataset(text).image_shape == (1, 16, 16)
    assert absolute_spec(text) == text == f"fits-folder:{folder}?size=16"


def test_options_that_cannot_be(folder: Path) -> None:
    with pytest.raises(UsageError, match="after [?] must be OPTION=VALUE, joined by &; got 'size'"):
        open_dataset(f"{folder}?size")
    with pytest.raises(UsageError, match="reader 'fits-folder' has no option 'sise': did you mean size"):
        open_dataset(f"{folder}?sise=16")
    with pytest.raises(UsageError, match="there are no data at .*nowhere"):
        open_dataset(f"{folder}/nowhere?size=16")


def test_a_path_may_hold_a_question_mark(folder: Path) -> None:
    strange = folder.rename(folder.with_name("what?size=9"))
    assert find_reader(str(strange)) == ("fits-folder", strange)
    assert open_dataset(str(strange)).image_shape == (1, 24, 24)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no data at .*nowhere"):
        find_reader(str(tmp_path / "nowhere"))


def test_nothing_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(
        UsageError, match=r"no reader recognises .*notes\.txt; name the reader: --data READER:PATH \(.*fits"
    ):
        find_reader(str(tmp_path / "notes.txt"))


def test_a_store_that_is_cut_short_is_told(tmp_path: Path) -> None:
    store = tmp_path / "s.zarr"
    store.mkdir()
    for content in (b'{"zarr_format": 3, "no', b""):
        (store / "zarr.json").write_bytes(content)
        with pytest.raises(UsageError, match=r"s\.zarr/zarr\.json is damaged: it "):
            find_reader(str(store))
    (store / "zarr.json").write_text("{}")
    with pytest.raises(UsageError, match=r"no reader recognises \S*s\.zarr; name the reader"):
        find_reader(str(store))


def test_what_is_deeper_than_expected_is_named(folder: Path) -> None:
    outer = folder.parent / "outer"
    outer.mkdir()
    folder.rename(outer / "inner")
    with pytest.raises(UsageError, match=r"no reader recognises \S*outer, but fits-folder reads \S*outer/inner"):
        find_reader(str(outer))
    assert find_reader(str(outer / "inner"))[0] == "fits-folder"


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a.fits").symlink_to("/nowhere/a.fits")
    with pytest.raises(UsageError, match=r"links, which has broken links \(such as a\.fits\); name the reader"):
        find_reader(str(tmp_path / "links"))
    with pytest.raises(UsageError, match=r"no data at \S*a\.fits: it is a link to /nowhere/a\.fits, which does not"):
        find_reader(str(tmp_path / "links" / "a.fits"))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pixel_scale": 0.05},
        {"pixel_scale": 0.05, "pattern": "a&b=*.fits"},
        {"labels": "true"},
        {"labels": '"x"', "pattern": "*/a b.fits"},
        {"noise": "1"},
    ],
)
def test_the_text_of_a_section_reads_back(folder: Path, options: dict[str, object]) -> None:
    section = {"name": "fits-folder", "path": str(folder), **options}
    assert read_section(text_of(section)) == section


def test_options_with_their_default_are_left_out(folder: Path) -> None:
    resolved = Config.resolve(
        {"data": {"name": "fits-folder", "path": str(folder), "pixel_scale": 0.05}}, only=("data",)
    )
    assert text_of(resolved.sections["data"]) == f"fits-folder:{folder}?pixel_scale=0.05"


def test_nothing_is_no_path() -> None:
    with pytest.raises(UsageError, match="there are no data at"):
        find_reader("")
