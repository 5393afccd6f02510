"""LenSiam's pairs: those of its authors and those of lenskit."""

from __future__ import annotations

import gzip
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lenskit.data.readers import find_reader, open_dataset
from lenskit.errors import LenskitError, UsageError
from lenskit_datasets.lensiam_fits import MOST_HEADERS, LensiamFits
from lenskit_datasets.zarr_store import ZarrStore

LENS = {
    "theta_E": 1.25, "gamma": 2.0, "gamma1": 0.01, "gamma2": -0.02,
    "e1": 0.1, "e2": -0.3, "center_x": 0.05, "center_y": -0.1,
}  # fmt: skip


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def write(path: Path, data: np.ndarray, checksum: bool = False, **header: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    hdu = fits.PrimaryHDU(data)
    for key, value in header.items():
        hdu.header[key if len(key) <= 8 else f"HIERARCH {key}"] = value
    hdu.writeto(path, checksum=checksum)
    return path


def test_pairs_as_they_were_released(tmp_path: Path) -> None:
    """Axes are (y, x, view); FITS writes the eight keys in capitals."""
    for number in range(3):
        lens = LENS | {"theta_E": 1 + number / 8}
        write(tmp_path / f"pair_{number}.fits", pixels(110, 110, 2, seed=number), **lens)
    assert b"THETA_E =" in (tmp_path / "pair_0.fits").read_bytes()
    assert find_reader(str(tmp_path)) == ("lensiam-fits", tmp_path)
    data = LensiamFits(tmp_path)
    assert (data.names, data.image_shape, data.views) == (["pair_0", "pair_1", "pair_2"], (1, 110, 110), 2)
    assert (data.shared_groups, data.stored_as, data.missing, data.chunk) == (frozenset({"lens"}), "float32", 0, 1)
    assert [(p.name, p.unit, p.group, p.headline) for p in data.parameters] == [
        (name, "arcsec" * (name in ("theta_E", "center_x", "center_y")), "lens", name in list(LENS)[:4])
        for name in LENS
    ]
    images, values = data.read([2, 0])
    assert (images.shape, images.dtype) == ((2, 2, 1, 110, 110), torch.float32)
    for row, number in enumerate((2, 0)):
        for view in (0, 1):
            np.testing.assert_array_equal(images[row, view, 0], pixels(110, 110, 2, seed=number)[..., view])
    assert values["theta_E"].tolist() == [1.25, 1.0]
    assert values["gamma2"].tolist() == pytest.approx([-0.02, -0.02])
    assert all(torch.equal(value, values[name]) for name, value in data.read_parameters([2, 0]).items())
    assert list(data.check()) == [(f"pair_{number}.fits", "") for number in range(3)]


@pytest.mark.parametrize("pairs", ["lens-fixed", "single"])
def test_what_we_simulate_is_what_a_zarr_store_holds(simulated, tmp_path: Path, pairs: str) -> None:
    zarr = ZarrStore(simulated(tmp_path / "pairs.zarr", pairs=pairs))
    data = open_dataset(str(simulated(tmp_path / "pairs", "fits", pairs=pairs)))
    assert isinstance(data, LensiamFits)
    same_attributes = "parameters image_shape views shared_groups chunk stored_as pixel_scale configuration"
    for same in same_attributes.split():
        assert getattr(data, same) == getattr(zarr, same), same
    assert (len(data), data.missing, data.unfinished, data.names[3]) == (10, 0, "", "3")
    for index in (range(10), [9, 0, 4, 4], []):
        for ours, theirs in ((data.read(index), zarr.read(index)),):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
        torch.testing.assert_close(data.read_parameters(index), zarr.read_parameters(index), rtol=0, atol=0)


def test_an_incomplete_simulation_is_only_looked_at(simulated, tmp_path: Path) -> None:
    path = simulated(tmp_path / "pairs", "fits")
    (path / "8.fits").unlink()
    os.truncate(path / "1.fits", 4000)
    data = LensiamFits(path)
    assert (len(data), data.missing) == (10, 6)  # chunks 0 to 3 and 8 to 9 are made again
    with pytest.raises(LenskitError, match="8.fits is missing; make it with: lenskit simulate --out .*pairs$"):
        data.read([8])
    wrong = {name: complaint for name, complaint in data.check() if complaint}
    assert set(wrong) == {"1.fits", "8.fits"}
    assert "cut short" in wrong["1.fits"]


def test_a_simulation_that_was_not_finished(simulated, tmp_path: Path) -> None:
    path = simulated(tmp_path / "pairs", "fits")
    card = path / "simulation.json"
    card.write_text(card.read_text().replace('"complete": true', '"complete": false'))
    data = LensiamFits(path)
    assert (data.missing, data.unfinished.endswith(f"run lenskit simulate --out {path}")) == (0, True)
    assert list(data.check())[-1] == ("simulation.json", data.unfinished)


@pytest.mark.parametrize("place", [200, 2900])  # in the header, in the pixels
def test_a_changed_byte_is_found(simulated, tmp_path: Path, place: int) -> None:
    path = simulated(tmp_path / "pairs", "fits") / "4.fits"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert [name for name, wrong in LensiamFits(path.parent).check() if wrong] == ["4.fits"]
    with pytest.raises(LenskitError, match="4.fits cannot be read as FITS"):
        LensiamFits(path.parent).read([4])


def test_several_channels(tmp_path: Path) -> None:
    write(tmp_path / "a.fits", pixels(3, 20, 20, 2), **LENS)
    data = open_dataset(str(tmp_path), size=10)
    assert (data.image_shape, data.views) == ((3, 10, 10), 2)
    expected = np.moveaxis(pixels(3, 20, 20, 2), -1, 0)[:, :, 5:15, 5:15]
    np.testing.assert_array_equal(data.read([0])[0][0], expected)


@pytest.mark.parametrize("kind", [">f4", ">f8", ">i2", "u2", ">i4"])
def test_types(tmp_path: Path, kind: str) -> None:
    """Unsigned integers are stored with an offset, because FITS has none."""
    data = (np.arange(12 * 12 * 2).reshape(12, 12, 2) * 200).astype(kind)
    read = LensiamFits(write(tmp_path / "a.fits", data, checksum=True)).read([0])[0]
    np.testing.assert_array_equal(read[0, :, 0], np.moveaxis(data, -1, 0).astype(np.float32))


@pytest.mark.parametrize("scale", [{"BSCALE": 0.5}, {"BZERO": 100.0}, {"BSCALE": 0.5, "BZERO": 100.0}, {"BSCALE": 1.0}])
def test_floats_may_be_scaled_too(tmp_path: Path, scale: dict[str, float]) -> None:
    file = write(tmp_path / "a.fits", pixels(12, 12, 2), **LENS)
    header = fits.getheader(file)
    header.update(scale)
    file.write_bytes(header.tostring().encode() + file.read_bytes()[len(header.tostring()) :])
    expected = np.moveaxis(pixels(12, 12, 2), -1, 0) * scale.get("BSCALE", 1) + scale.get("BZERO", 0)
    np.testing.assert_allclose(LensiamFits(file).read([0])[0][0, :, 0], expected, rtol=1e-6)


@given(arrays.arrays(np.float32, (6, 7, 2), elements=st.floats(-(2.0**99), 2.0**99, width=32)), st.booleans())
@settings(deadline=None, max_examples=25)
def test_pixels_come_back_bit_equal(tmp_path_factory, data: np.ndarray, checksum: bool) -> None:
    data[0, 0], data[1, 1] = 1, 2
    file = write(tmp_path_factory.mktemp("pairs") / "a.fits", data, checksum)
    np.testing.assert_array_equal(LensiamFits(file, size=6).read([0])[0][0, :, 0], np.moveaxis(data[:, :6], -1, 0))


def test_compressed_files(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain" / "a.fits", pixels(12, 12, 2), **LENS)
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress(plain.read_bytes()))
    data = LensiamFits(tmp_path)
    assert data.names == ["a"]
    torch.testing.assert_close(data.read([0]), LensiamFits(plain).read([0]), rtol=0, atol=0)


def test_a_compressed_file_that_unpacks_to_more_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = write(tmp_path / "plain.fits", pixels(12, 12, 2), **LENS).read_bytes()
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress(plain))
    (tmp_path / "plain.fits").unlink()
    data = LensiamFits(tmp_path)
    monkeypatch.setenv("LENSKIT_MAX_BYTES", "100000")
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress(plain + b"\0" * 10**6))  # not read: the image ends before
    assert data.read([0])[0].shape == (1, 2, 1, 12, 12)
    large = write(tmp_path / "plain.fits", np.zeros((300, 300, 2), "f4"), **LENS).read_bytes()
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress(large))
    with pytest.raises(LenskitError, match=r"a.fits.gz unpacks to more than the limit of 100000 bytes"):
        data.read([0])


def test_a_key_with_more_digits_than_float32_has(tmp_path: Path) -> None:
    write(tmp_path / "a.fits", pixels(12, 12, 2), OBJID=41229853041234567, pa_deg=3.0)
    assert [p.unit for p in LensiamFits(tmp_path, keys=["pa_deg"]).parameters] == ["deg"]
    with pytest.raises(LenskitError, match="key OBJID is 41229853041234567, which float32 cannot hold: leave it out"):
        LensiamFits(tmp_path, keys=["OBJID"]).read_parameters([0])


def test_keys_that_a_file_lacks_are_not_known(tmp_path: Path) -> None:
    write(tmp_path / "a.fits", pixels(12, 12, 2), theta_E=1.5, e1=0.1, other=3)
    write(tmp_path / "b.fits", pixels(12, 12, 2, seed=1), e1=None)
    data = LensiamFits(tmp_path)
    assert [parameter.name for parameter in data.parameters] == ["theta_E", "e1"]
    known = data.read_parameters([0, 1])
    assert known["theta_E"].isnan().tolist() == known["e1"].isnan().tolist() == [False, True]


def test_keys_that_the_first_file_lacks_are_known_of_others(tmp_path: Path, caplog) -> None:
    for number in range(MOST_HEADERS + 8):
        write(tmp_path / f"{number:02d}.fits", pixels(12, 12, 2), **{} if number < 2 else LENS | {"z_lens": number})
    os.truncate(tmp_path / "39.fits", 100)  # a damaged file is reported when it is read
    data = LensiamFits(tmp_path)
    assert [parameter.name for parameter in data.parameters] == list(LENS)
    assert data.read_parameters([0, 2])["theta_E"].tolist() == pytest.approx([np.nan, 1.25], nan_ok=True)
    (told,) = caplog.records
    assert (told.name, told.levelname) == ("lenskit", "WARNING")
    assert "some lack keys, which are unknown there: theta_E in 2 (such as 00.fits), gamma in 2" in told.getMessage()
    assert LensiamFits(tmp_path, keys=["z_lens"]).read_parameters([1, 7])["z_lens"][1].item() == 7
    with pytest.raises(UsageError, match="00.fits has no header key z, nor z_1, nor have 30 more files"):
        LensiamFits(tmp_path, keys=["z"])


def test_other_keys(tmp_path: Path) -> None:
    header = {"theta_E": 1.5, "z": 0.5, "source_half_light_radius_1": 0.25, "source_half_light_radius_2": 0.5}
    file = write(tmp_path / "a.fits", pixels(12, 12, 2), **header)
    data = LensiamFits(file, keys=["z", "source_half_light_radius"])
    assert [(p.name, p.group) for p in data.parameters] == [("z", "lens"), ("source_half_light_radius", "image")]
    values = data.read_parameters([0])
    assert (values["z"].tolist(), values["source_half_light_radius"].tolist()) == ([0.5], [[0.25, 0.5]])
    with pytest.raises(UsageError, match="a.fits has no header key redshift, nor redshift_1"):
        LensiamFits(file, keys=["redshift"])


def test_pixels_that_are_not_finite_are_filled_and_told(tmp_path: Path, caplog) -> None:
    caplog.set_level(logging.INFO)
    data = pixels(20, 20, 2)
    data[3, 4, 1], data[7, 7, 0] = np.nan, np.inf
    dataset = LensiamFits(write(tmp_path / "a.fits", data))
    images = dataset.read([0])[0][0, :, 0].numpy()
    assert np.isfinite(images).all()
    assert np.argwhere(images != np.moveaxis(data, -1, 0)).tolist() == [[0, 7, 7], [1, 3, 4]]
    dataset.read([0])
    assert [r.getMessage() for r in caplog.records] == [
        f"{tmp_path / 'a.fits'}: 2 of 800 pixels are undefined and are filled"
    ]
    assert caplog.records[0].name == "lenskit"  # the logger that the command line shows


BAD = {
    "flat": "b.fits holds no image: all pixels are 0 in view 1",
    "nan": "b.fits holds no image: all pixels are undefined in view 0",
    "shape": "b.fits has 12 x 14 x 2 pixels, the others 12 x 12 x 2: all must agree",
    "plane": "b.fits has 12 x 12 pixels, the others 12 x 12 x 2",
    "short": "b.fits cannot be read as FITS: it was cut short",
    "header": "b.fits cannot be read as FITS",
    "text": "b.fits: the header key theta_E is 'wide', but parameters are numbers",
    "gone": "b.fits is missing",
}


@pytest.mark.parametrize("what", BAD)
def test_bad_files_are_named(tmp_path: Path, what: str) -> None:
    write(tmp_path / "a.fits", pixels(12, 12, 2), **LENS)
    data, header = pixels(12, 12, 2), dict(LENS)
    if what == "flat":
        data[..., 1] = 0
    elif what == "nan":
        data[..., 0] = np.nan
    elif what == "shape":
        data = pixels(12, 14, 2)
    elif what == "plane":
        data = pixels(12, 12)
    elif what == "text":
        header["theta_E"] = "wide"
    bad = write(tmp_path / "b.fits", data, **header)
    if what in ("short", "header"):
        os.truncate(bad, {"short": 2880, "header": 1000}[what])
    dataset = LensiamFits(tmp_path)
    if what == "gone":
        bad.unlink()
    with pytest.raises(LenskitError, match=BAD[what]) as raised:
        dataset.read([0, 1])
    assert "\n" not in str(raised.value)
    assert [bool(wrong) for _, wrong in dataset.check()] == [False, True]


def test_what_it_does_not_take(tmp_path: Path, simulated) -> None:
    with pytest.raises(UsageError, match="there is no file or folder nowhere; lensiam-fits takes a folder of pairs"):
        LensiamFits("nowhere")
    with pytest.raises(UsageError, match="there is no FITS file in"):
        LensiamFits(tmp_path)
    single = write(tmp_path / "single" / "a.fits", pixels(12, 12))
    with pytest.raises(UsageError, match=r"not \(12, 12\); single images are read by fits-folder"):
        LensiamFits(single)
    write(tmp_path / "bands" / "a.fits", pixels(3, 12, 12))
    for folder in ("single", "bands"):
        assert find_reader(str(tmp_path / folder))[0] == "fits-folder"
    with pytest.raises(UsageError, match="has 12 x 14 pixels: use size=12"):
        LensiamFits(write(tmp_path / "wide" / "a.fits", pixels(12, 14, 2)))
    with pytest.raises(UsageError, match="8 x 8 pixels, fewer than size=9"):
        LensiamFits(simulated(tmp_path / "ours", "fits"), size=9)
    with pytest.raises(UsageError, match="simulation.json defines everything: remove keys"):
        LensiamFits(tmp_path / "ours", keys=["width"])
    (tmp_path / "ours" / "simulation.json").write_text("{")
    with pytest.raises(UsageError, match="ours is not a store of simulated pairs"):
        LensiamFits(tmp_path / "ours")


def test_zero_may_stand_for_undefined_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(1000, 1009, (12, 12, 2)).astype("i2")
    pixels[3:5, 3:5] = 0
    hdu = fits.PrimaryHDU(pixels)
    hdu.header["BLANK"] = 0
    Path("pairs").mkdir()
    hdu.writeto("pairs/0.fits")
    assert LensiamFits("pairs").read([0])[0].min() > 900


def test_endings_in_capitals_what_macos_leaves_behind_and_undefined_pixels(tmp_path: Path) -> None:
    for number, name in enumerate(("0.FITS", "1.fit", "2.FITS.GZ")):
        pixels = np.random.default_rng(number).integers(0, 9, (12, 12, 2)).astype("u2")
        pixels[3:5, 3:5] = 65535
        hdu = fits.PrimaryHDU(pixels)
        hdu.header["BLANK"] = 32767
        hdu.writeto("written.fits", overwrite=True)
        content = Path("written.fits").read_bytes()
        Path("pairs").mkdir(exist_ok=True)
        Path("pairs", name).write_bytes(gzip.compress(content) if name.endswith("GZ") else content)
        Path("pairs", f"._{name}").write_bytes(b"x")
    assert LensiamFits.recognises(Path("pairs"))
    dataset = LensiamFits("pairs")
    assert dataset.names == ["0", "1", "2"]
    assert dataset.read(range(3))[0].max() < 20
