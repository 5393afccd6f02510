from __future__ import annotations

import gzip
import logging

import numpy as np
import pytest
import torch
from astropy.io import fits

from lenskit.errors import LenskitError, UsageError
from lenskit_datasets.fits_folder import FitsFolder


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def write(path, data, **header):
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.PrimaryHDU(data, fits.Header(header)).writeto(path)
    return path


def image_of(dataset, index: int = 0) -> np.ndarray:
    return dataset.read([index])[0][0, 0].numpy()


class TestSlacs:
    @pytest.mark.slow
    def test_lenses_and_labels(self, real_data):
        slacs = FitsFolder(real_data / "slacs", size=110)
        images, values = slacs.read(range(len(slacs)))
        assert len(slacs) == 20
        assert slacs.image_shape == (1, 110, 110)
        assert images.shape == (20, 1, 1, 110, 110)
        assert images.dtype == torch.float32
        assert torch.isfinite(images).all()
        # published: median 1.17", .79 to 1.63"
        theta_E = values["theta_E"].numpy()
        assert np.median(theta_E) == pytest.approx(1.165, abs=1e-6)
        assert (theta_E.min(), theta_E.max()) == pytest.approx((0.79, 1.63))
        assert slacs.names[6] == "J0946+1006"
        assert values["theta_E"][6] == pytest.approx(1.38)
        assert [(p.name, p.unit) for p in slacs.parameters] == [
            ("theta_E", "arcsec"), ("q_sie", ""), ("pa_sie_deg_east_of_north", "deg"),
        ]  # fmt: skip

    def test_order_of_reading_does_not_matter(self, real_data):
        slacs = FitsFolder(real_data / "slacs", size=64)
        together, values = slacs.read([1, 6, 2])
        assert torch.equal(together[1:2], slacs.read([6])[0])
        assert values["theta_E"].tolist() == pytest.approx([0.79, 1.38, 1.16])

    def test_masked_pixels_are_filled(self, real_data):
        # J0405-0455 has exact zeros in gaps, some of them in its bright core.
        slacs = real_data / "slacs"
        raw = FitsFolder(slacs, size=110, noise="").read([3])[0][0, 0, 0]
        filled = FitsFolder(slacs, size=110).read([3])[0][0, 0, 0]
        assert int((raw == 0).sum()) == 445
        assert int((filled == 0).sum()) == 0
        assert torch.equal(filled[raw != 0], raw[raw != 0])
        core = filled[53:58, 53:58]
        assert (core > 2).all()

    def test_one_lens_by_file_or_folder(self, real_data):
        lens = real_data / "slacs" / "J0946+1006"
        expected = FitsFolder(real_data / "slacs", size=64).read([6])[0]
        for path in (lens, lens / "image.fits"):
            one = FitsFolder(path, size=64)
            assert one.names == ["J0946+1006"]
            assert torch.equal(one.read([0])[0], expected)


class TestFiles:
    def test_folder_of_files(self, tmp_path):
        for name, seed in (("b.fits", 1), ("a.fits", 0)):
            write(tmp_path / name, pixels(8, 8, seed=seed))
        with gzip.open(tmp_path / "c.fits.gz", "wb") as file:
            file.write(write(tmp_path / "other" / "c.fits", pixels(8, 8, seed=2)).read_bytes())
        dataset = FitsFolder(tmp_path)
        assert dataset.names == ["a", "b", "c"]
        assert dataset.parameters == ()
        images, values = dataset.read([2, 0, 1])
        assert values == {}
        for row, seed in enumerate((2, 0, 1)):
            np.testing.assert_array_equal(images[row, 0, 0], pixels(8, 8, seed=seed))

    def test_one_file(self, tmp_path):
        dataset = FitsFolder(write(tmp_path / "lens.v1.fits", pixels(6, 6)))
        assert dataset.names == ["lens.v1"]
        np.testing.assert_array_equal(image_of(dataset)[0], pixels(6, 6))

    def test_pattern(self, tmp_path):
        for name in ("a/sci.fits", "a/err.fits", "b/sci.fits", "top.fits"):
            write(tmp_path / name, pixels(6, 6))
        assert FitsFolder(tmp_path).names == ["top"]
        assert FitsFolder(tmp_path, pattern="**/sci.fits").names == ["a/sci", "b/sci"]

    def test_labels_are_read_without_images(self, tmp_path):
        write(tmp_path / "a.fits", pixels(6, 6))
        write(tmp_path / "b.fits", pixels(6, 6))
        (tmp_path / "labels.csv").write_text("name,theta_E\nb,1.5\na,1.2\n")
        dataset = FitsFolder(tmp_path)
        (tmp_path / "a.fits").unlink()
        assert dataset.read_parameters([1, 0])["theta_E"].tolist() == pytest.approx([1.5, 1.2])

    def test_read_is_lazy(self, tmp_path):
        write(tmp_path / "a.fits", pixels(6, 6))
        broken = write(tmp_path / "b.fits", pixels(200, 200, seed=1))
        write(tmp_path / "c.fits", pixels(6, 6, seed=2))
        broken.write_bytes(broken.read_bytes()[:5000])
        dataset = FitsFolder(tmp_path, size=6)
        dataset.read([0, 2])
        with pytest.raises(LenskitError, match=r"b\.fits cannot be read as FITS"):
            dataset.read([1])

    @pytest.mark.parametrize("size", [1, 4, 5, 9, 10])
    @pytest.mark.parametrize("length", [10, 11])
    def test_crop_is_in_the_middle(self, tmp_path, length, size):
        data = np.add.outer(np.arange(length), np.arange(length)).astype(np.float32)
        dataset = FitsFolder(write(tmp_path / "a.fits", data), size=size)
        if size == 1:
            with pytest.raises(LenskitError, match="all good pixels are"):
                dataset.read([0])
            return
        image = image_of(dataset)[0]
        assert image.shape == (size, size)
        # the centre of the crop is within half a pixel of the image's
        start = float(image[0, 0]) / 2
        assert abs(start + (size - 1) / 2 - (length - 1) / 2) <= 0.5

    def test_names_that_occur_twice(self, tmp_path):
        write(tmp_path / "a.fits", pixels(6, 6))
        (tmp_path / "a.fits.gz").write_bytes(gzip.compress((tmp_path / "a.fits").read_bytes()))
        with pytest.raises(UsageError, match=r"2 files in .* are called a: choose one with a pattern"):
            FitsFolder(tmp_path)

    def test_reading_none(self, tmp_path):
        dataset = FitsFolder(write(tmp_path / "a.fits", pixels(6, 6)))
        assert dataset.read([])[0].shape == (0, 1, 1, 6, 6)


class TestFormats:
    def test_bands(self, tmp_path):
        dataset = FitsFolder(write(tmp_path / "a.fits", pixels(3, 12, 12)), size=8)
        assert dataset.image_shape == (3, 8, 8)
        np.testing.assert_array_equal(image_of(dataset), pixels(3, 12, 12)[:, 2:10, 2:10])

    def test_axes_of_length_one(self, tmp_path):
        dataset = FitsFolder(write(tmp_path / "a.fits", pixels(1, 1, 9, 9)))
        assert dataset.image_shape == (1, 9, 9)
        np.testing.assert_array_equal(image_of(dataset)[0], pixels(9, 9))

    @pytest.mark.parametrize("kind", [">f8", ">f4", ">i2", ">i4", "u1", "u2"])
    def test_types(self, tmp_path, kind):
        data = np.arange(36).reshape(6, 6).astype(kind)
        dataset = FitsFolder(write(tmp_path / "a.fits", data))
        np.testing.assert_array_equal(image_of(dataset)[0], np.arange(36, dtype=np.float32).reshape(6, 6))

    def test_scaled_integers_with_blank(self, tmp_path):
        data = np.arange(64, dtype=np.int16).reshape(8, 8)
        hdu = fits.PrimaryHDU(data)
        hdu.header.update({"BLANK": 27, "BSCALE": 0.5, "BZERO": 10})
        hdu.writeto(tmp_path / "a.fits")
        image = image_of(FitsFolder(tmp_path / "a.fits"))[0]
        expected = 10 + 0.5 * data
        assert image[3, 3] == pytest.approx(expected[3, 3], abs=3)
        expected[3, 3] = image[3, 3]
        np.testing.assert_array_equal(image, expected)

    def test_first_extension_with_an_image(self, tmp_path):
        table = fits.BinTableHDU.from_columns([fits.Column("x", "E", array=np.zeros(3))])
        science = fits.CompImageHDU(pixels(20, 20), name="SCI", compression_type="GZIP_2", quantize_level=0)
        weight = fits.ImageHDU(pixels(20, 20, seed=1), name="WHT")
        fits.HDUList([fits.PrimaryHDU(), table, science, weight]).writeto(tmp_path / "a.fits")
        np.testing.assert_array_equal(image_of(FitsFolder(tmp_path))[0], pixels(20, 20))
        for name in ("WHT", 3):
            np.testing.assert_array_equal(image_of(FitsFolder(tmp_path, hdu=name))[0], pixels(20, 20, seed=1))
        with pytest.raises(UsageError, match="no HDU ERR; it has 0 PRIMARY, 1, 2 SCI, 3 WHT"):
            FitsFolder(tmp_path, hdu="ERR")
        with pytest.raises(UsageError, match="HDU 1 holds no image"):
            FitsFolder(tmp_path, hdu=1)


class TestMasks:
    def test_not_finite_pixels_are_filled_and_counted(self, tmp_path, caplog):
        data = pixels(20, 20)
        data[4, 4:6], data[9, 9] = np.nan, np.inf
        noise = np.ones((20, 20), np.float32)
        noise[4, 4], noise[12, 12], noise[13, 13] = 1e5, 1e8, np.nan
        write(tmp_path / "lens" / "image.fits", data)
        write(tmp_path / "lens" / "noise.fits", noise)
        caplog.set_level(logging.INFO)
        dataset = FitsFolder(tmp_path)
        image = image_of(dataset)[0]
        assert np.isfinite(image).all()
        changed = image != data
        assert sorted(zip(*np.nonzero(changed), strict=True)) == [(4, 4), (4, 5), (9, 9), (12, 12), (13, 13)]
        dataset.read([0])
        assert [r.getMessage() for r in caplog.records] == ["lens: 5 of 400 pixels are undefined and are filled"]
        assert caplog.records[0].name == "lenskit"  # the logger that the command line shows

    def test_each_channel_has_its_mask(self, tmp_path):
        data, noise = pixels(2, 16, 16), np.ones((2, 16, 16), np.float32)
        noise[1, 5, 5] = 1e9
        write(tmp_path / "image.fits", data)
        write(tmp_path / "noise.fits", noise)
        assert np.argwhere(image_of(FitsFolder(tmp_path)) != data).tolist() == [[1, 5, 5]]

    def test_beyond_float32(self, tmp_path):
        data = pixels(8, 8).astype(float)
        data[3, 3] = 1e60
        assert np.abs(image_of(FitsFolder(write(tmp_path / "a.fits", data)))).max() < 10

    def test_noise_of_another_name(self, tmp_path):
        noise = np.ones((8, 8), np.float32)
        noise[2, 2] = 1e9
        write(tmp_path / "a" / "image.fits", pixels(8, 8))
        write(tmp_path / "a" / "rms.fits", noise)
        write(tmp_path / "b" / "image.fits", pixels(8, 8))
        images = FitsFolder(tmp_path, noise="rms.fits").read([0, 1])[0][:, 0, 0].numpy()
        assert np.argwhere(images != pixels(8, 8)).tolist() == [[0, 2, 2]]
        with pytest.raises(UsageError, match=r"no image in .* has a noise map err\.fits in its folder"):
            FitsFolder(tmp_path, noise="err.fits")

    def test_noise_of_another_size(self, tmp_path):
        write(tmp_path / "image.fits", pixels(8, 8))
        write(tmp_path / "noise.fits", pixels(9, 9))
        with pytest.raises(LenskitError, match=r"noise\.fits has 9 x 9 pixels, its image 8 x 8"):
            FitsFolder(tmp_path).read([0])


class TestLabels:
    def test_table_by_name(self, tmp_path, monkeypatch):
        write(tmp_path / "data" / "a.fits", pixels(6, 6))
        write(tmp_path / "data" / "b.fits", pixels(6, 6))
        (tmp_path / "data" / "radii.csv").write_text("file,b_SIE\nb.fits,1.5\n")
        (tmp_path / "here.csv").write_text("file,theta_E\na,2\n")
        monkeypatch.chdir(tmp_path)
        in_folder = FitsFolder("data", labels="radii.csv", columns={"theta_E": "b_SIE"})
        assert in_folder.read([1])[1]["theta_E"].tolist() == [1.5]
        assert FitsFolder("data", labels="here.csv").read([0])[1]["theta_E"].tolist() == [2]
        with pytest.raises(UsageError, match=r"no table of labels missing\.csv"):
            FitsFolder("data", labels="missing.csv")
        with pytest.raises(UsageError, match="columns are given, but no table"):
            FitsFolder("data", columns={"theta_E": "b_SIE"})


def sky(scale: float) -> dict[str, float | str]:
    """Return header cards for a pixel size in arcsec."""
    step = scale / 3600
    return {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CD1_1": -step, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": step}


def blob(length: int, scale: float) -> np.ndarray:
    """Return a Gaussian of .5", .2" right of the centre."""
    axis = (np.arange(length) - (length - 1) / 2) * scale
    return np.exp(-2 * ((axis - 0.2) ** 2 + axis[:, None] ** 2)).astype(np.float32)


class TestPixelScale:
    def test_is_in_the_header_or_is_said(self, tmp_path):
        write(tmp_path / "a.fits", pixels(8, 8), **sky(0.05))
        assert FitsFolder(tmp_path).pixel_scale == pytest.approx(0.05)
        assert FitsFolder(tmp_path, pixel_scale=0.04).pixel_scale == 0.04
        assert FitsFolder(write(tmp_path / "none" / "b.fits", pixels(8, 8))).pixel_scale is None

    def test_is_that_of_the_hdu_that_holds_the_image(self, tmp_path):
        images = [fits.ImageHDU(pixels(8, 8), fits.Header(sky(scale)), name=f"I{scale}") for scale in (0.05, 0.2)]
        fits.HDUList([fits.PrimaryHDU(), *images]).writeto(tmp_path / "a.fits")
        assert FitsFolder(tmp_path).pixel_scale == pytest.approx(0.05)
        assert FitsFolder(tmp_path, hdu="I0.2").pixel_scale == pytest.approx(0.2)

    def test_images_of_several_scales_are_told_of(self, tmp_path):
        write(tmp_path / "a.fits", pixels(80, 80), **sky(0.05))
        write(tmp_path / "b.fits", pixels(80, 80), **sky(0.06))
        with pytest.raises(UsageError, match=r'b\.fits has pixels of 0\.06", .*a\.fits of 0\.05": use resample=0\.06'):
            FitsFolder(tmp_path)
        assert FitsFolder(tmp_path, pixel_scale=0.05).image_shape == (1, 80, 80)

    def test_resampled_images_show_the_same_sky(self, tmp_path):
        for name, length, scale in (("a", 90, 0.05), ("b", 41, 0.1), ("c", 150, 0.03)):
            write(tmp_path / f"{name}.fits", blob(length, scale), **sky(scale))
        dataset = FitsFolder(tmp_path, resample=0.05, size=80)
        assert (dataset.image_shape, dataset.pixel_scale) == ((1, 80, 80), 0.05)
        images = dataset.read([0, 1, 2])[0][:, 0, 0].numpy()
        np.testing.assert_array_equal(images[0], blob(90, 0.05)[5:85, 5:85])
        np.testing.assert_allclose(images[1:], [blob(80, 0.05)] * 2, atol=0.01)
        with pytest.raises(UsageError, match=r"b\.fits has 82 x 82 pixels, fewer than size=85"):
            FitsFolder(tmp_path, resample=0.05, size=85)

    def test_masked_pixels_are_filled_before(self, tmp_path):
        data = blob(90, 0.05)
        data[44, 40:44] = np.nan
        write(tmp_path / "a.fits", data, **sky(0.05))
        image = FitsFolder(tmp_path, resample=0.1).read([0])[0][0, 0, 0].numpy()
        np.testing.assert_allclose(image, blob(45, 0.1), atol=0.03)

    def test_what_does_not_say_it_is_not_resampled(self, tmp_path):
        write(tmp_path / "a.fits", blob(90, 0.1))
        with pytest.raises(UsageError, match=r"a\.fits does not state its pixel size: .* pixel_scale"):
            FitsFolder(tmp_path, resample=0.2)
        dataset = FitsFolder(tmp_path, resample=0.2, pixel_scale=0.1)
        np.testing.assert_allclose(dataset.read([0])[0][0, 0, 0], blob(45, 0.2), atol=0.04)

    @pytest.mark.slow
    def test_real_lenses(self, real_data):
        """SLACS at half of the pixel size has the same light."""
        fine = FitsFolder(real_data / "slacs", pixel_scale=0.05, size=100)
        coarse = FitsFolder(real_data / "slacs", pixel_scale=0.05, resample=0.1, size=50)
        assert (fine.pixel_scale, coarse.pixel_scale) == (0.05, 0.1)
        light = [dataset.read(range(20))[0].double().mean((1, 2, 3, 4)).numpy() for dataset in (fine, coarse)]
        np.testing.assert_allclose(light[1], light[0], rtol=0.03)


class TestBadInput:
    def test_nothing_there(self, tmp_path):
        with pytest.raises(UsageError, match="no file or folder"):
            FitsFolder(tmp_path / "missing")
        with pytest.raises(UsageError, match="no FITS file in"):
            FitsFolder(tmp_path)
        with pytest.raises(UsageError, match=r"no file of the pattern \*\.x"):
            FitsFolder(tmp_path, pattern="*.x")

    def test_sizes(self, tmp_path):
        write(tmp_path / "a.fits", pixels(20, 20))
        write(tmp_path / "b.fits", pixels(14, 16))
        with pytest.raises(UsageError, match=r"b\.fits has 14 x 16 pixels, .*a\.fits has 20 x 20: use size=14"):
            FitsFolder(tmp_path)
        with pytest.raises(UsageError, match=r"b\.fits has 14 x 16 pixels, fewer than size=15"):
            FitsFolder(tmp_path, size=15)
        with pytest.raises(UsageError, match=r"b\.fits has 14 x 16 pixels: use size=14"):
            FitsFolder(tmp_path / "b.fits")
        assert FitsFolder(tmp_path, size=14).read([0, 1])[0].shape == (2, 1, 1, 14, 14)

    def test_channels(self, tmp_path):
        write(tmp_path / "a.fits", pixels(20, 20))
        write(tmp_path / "b.fits", pixels(2, 20, 20))
        with pytest.raises(UsageError, match="has 2 channels"):
            FitsFolder(tmp_path, size=10)
        with pytest.raises(UsageError, match="channels must be the first axis"):
            FitsFolder(write(tmp_path / "c" / "c.fits", pixels(20, 20, 2)))
        with pytest.raises(UsageError, match="not 4"):
            FitsFolder(write(tmp_path / "d" / "d.fits", pixels(2, 2, 20, 20)))

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (np.full((8, 8), np.nan), "all pixels are masked or undefined in the middle 8 x 8"),
            (np.full((8, 8), 3.0), "all good pixels are 3"),
            (np.stack([pixels(8, 8), np.zeros((8, 8))]), "in channel 1: all good pixels are 0"),
        ],
    )
    def test_empty_images(self, tmp_path, data, message):
        dataset = FitsFolder(write(tmp_path / "blank.fits", data))
        with pytest.raises(LenskitError, match=rf"blank\.fits holds no image.*{message}"):
            dataset.read([0])

    def test_files_that_are_no_image(self, tmp_path):
        (tmp_path / "text.fits").write_text("this is no FITS file")
        with pytest.raises(LenskitError, match=r"text\.fits cannot be read as FITS") as error:
            FitsFolder(tmp_path)
        assert "\n" not in str(error.value)
        fits.PrimaryHDU().writeto(tmp_path / "text.fits", overwrite=True)
        with pytest.raises(LenskitError, match="no HDU has two or more axes"):
            FitsFolder(tmp_path)


def test_recognises(tmp_path):
    write(tmp_path / "flat" / "a.fits.gz", pixels(4, 4))
    write(tmp_path / "deep" / "lens" / "image.fits", pixels(4, 4))
    (tmp_path / "text.txt").write_text("no")
    assert FitsFolder.recognises(tmp_path / "flat")
    assert FitsFolder.recognises(tmp_path / "deep")
    assert FitsFolder.recognises(tmp_path / "flat" / "a.fits.gz")
    assert not FitsFolder.recognises(tmp_path / "text.txt")
    assert not FitsFolder.recognises(tmp_path)
    assert not FitsFolder.recognises(tmp_path / "missing")


class TestWhichFiles:
    def test_endings_in_capitals_or_short(self, tmp_path):
        for name in ("a.fits", "b.FITS", "c.FIT", "d.fit", "e.fts"):
            write(tmp_path / name, pixels(6, 6))
        (tmp_path / "f.FITS.GZ").write_bytes(gzip.compress((tmp_path / "a.fits").read_bytes()))
        fits.CompImageHDU(pixels(6, 6)).writeto(tmp_path / "g.Fits.Fz")
        (tmp_path / "labels.csv").write_text("name,theta_E\nb.fits,1.5\nG,1\ng,1.2\n")
        assert FitsFolder.recognises(tmp_path)
        dataset = FitsFolder(tmp_path)
        assert dataset.names == list("abcdefg")
        assert torch.isfinite(dataset.read(range(7))[0]).all()
        assert dataset.read_parameters([1, 6])["theta_E"].tolist() == pytest.approx([1.5, 1.2])
        (tmp_path / "only").mkdir()
        (tmp_path / "b.FITS").rename(tmp_path / "only" / "b.FITS")
        assert FitsFolder.recognises(tmp_path / "only")
        assert FitsFolder.recognises(tmp_path / "only" / "b.FITS")

    def test_names_that_differ_in_the_case_of_their_endings(self, tmp_path):
        write(tmp_path / "a.fits", pixels(6, 6))
        write(tmp_path / "a.FITS", pixels(6, 6))
        with pytest.raises(UsageError, match=r"2 files in .* are called a: choose one with a pattern"):
            FitsFolder(tmp_path)
        assert FitsFolder(tmp_path, pattern="*.FITS").names == ["a"]

    def test_images_and_noise_maps_with_any_ending(self, tmp_path):
        noise = np.ones((6, 6), np.float32)
        noise[2, 2] = 1e9
        write(tmp_path / "J1" / "IMAGE.FITS", pixels(6, 6))
        write(tmp_path / "J1" / "noise.FIT", noise)
        dataset = FitsFolder(tmp_path)
        assert dataset.names == ["J1"]
        assert image_of(dataset)[0, 2, 2] != pixels(6, 6)[2, 2]

    def test_what_macos_leaves_behind(self, tmp_path):
        write(tmp_path / "a.fits", pixels(6, 6))
        (tmp_path / "._a.fits").write_bytes(b"\0\5\x16\7" + bytes(4000))
        (tmp_path / ".DS_Store").write_bytes(bytes(100))
        assert FitsFolder(tmp_path).names == ["a"]
        assert FitsFolder(tmp_path, pattern="*").names == ["a"]

    def test_links_that_lead_nowhere(self, tmp_path, caplog):
        write(tmp_path / "a.fits", pixels(6, 6))
        (tmp_path / "b.fits").symlink_to("/nowhere/b.fits")
        assert FitsFolder(tmp_path).names == ["a"]
        assert "1 link is broken and is left out: b.fits" in caplog.text

    def test_files_deeper_than_expected_are_explained_by_what_works(self, tmp_path):
        for name in ("flat/train/a.FITS", "flat/test/b.fits", "deep/x/J1/image.fits", "deep/x/J2/image.fits"):
            write(tmp_path / name, pixels(6, 6))
        (tmp_path / "flat" / "train" / "labels.csv").write_text("name,n\n")
        with pytest.raises(
            UsageError, match=r"there are 2 in folders in it, such as test/b\.fits: open \S*flat/test, or"
        ):
            FitsFolder(tmp_path / "flat")
        assert FitsFolder(tmp_path / "flat" / "test").names == ["b"]
        assert FitsFolder(tmp_path / "flat", pattern="*/*").names == ["test/b", "train/a"]
        with pytest.raises(UsageError, match=r"open \S*deep/x, or use pattern=[*]/[*]/image[*] for all"):
            FitsFolder(tmp_path / "deep")
        assert FitsFolder(tmp_path / "deep" / "x").names == ["J1", "J2"]
        assert len(FitsFolder(tmp_path / "deep", pattern="*/*/image*")) == 2

    def test_files_in_folders_beside_images_are_told_of(self, tmp_path, caplog):
        caplog.set_level(logging.INFO)
        for name in ("a.fits", "more/b.fits"):
            write(tmp_path / name, pixels(6, 6))
        assert FitsFolder(tmp_path).names == ["a"]
        assert "1 FITS files in its folders are left out: more/b.fits" in caplog.text


SKY = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -0.05 / 3600, "CDELT2": 0.05 / 3600}


class TestHeaders:
    def test_a_card_that_cannot_be_parsed(self, tmp_path, caplog):
        file = write(tmp_path / "a.fits", pixels(6, 6), **SKY, CROTA2=0.0)
        content = file.read_bytes()
        start = content.index(b"CROTA2  =")
        file.write_bytes(content[:start] + b"CROTA2  =                  NaN".ljust(80) + content[start + 80 :])
        dataset = FitsFolder(tmp_path)
        np.testing.assert_array_equal(image_of(dataset)[0], pixels(6, 6))
        assert dataset.pixel_scale is None
        (record,) = caplog.records
        assert "such as a.fits: its card CROTA2 cannot be read; set pixel_scale, in arcsec" in record.getMessage()
        caplog.clear()
        assert FitsFolder(tmp_path, pixel_scale=0.05).pixel_scale == 0.05
        assert not caplog.records

    def test_coordinates_in_the_primary_header_of_an_extension(self, tmp_path):
        image = fits.ImageHDU(pixels(6, 6))
        fits.HDUList([fits.PrimaryHDU(header=fits.Header(SKY)), image]).writeto(tmp_path / "a.fits")
        assert FitsFolder(tmp_path).pixel_scale == pytest.approx(0.05)

    def test_undefined_pixels_of_unsigned_integers_are_filled(self, tmp_path, caplog):
        caplog.set_level(logging.INFO)
        counts = (1000 + 100 * pixels(24, 24)).astype("u2")
        counts[5:9, 5:9] = 65535
        write(tmp_path / "a.fits", counts, BLANK=32767)
        assert image_of(FitsFolder(tmp_path)).max() < 2000
        assert "a: 16 of 576 pixels are undefined and are filled" in caplog.text

    def test_some_scales_that_are_not_known_are_told_of_once(self, tmp_path, caplog):
        for number in range(3):
            write(tmp_path / f"{number}.fits", pixels(6, 6), **(SKY if number else {}))
        assert FitsFolder(tmp_path).pixel_scale is None
        (record,) = caplog.records
        assert "unknown for 1 of 3 images, such as 0.fits: its header does not give it" in record.getMessage()

    def test_scales_that_no_camera_has_are_not_resampled(self, tmp_path):
        write(tmp_path / "a.fits", pixels(6, 6), CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CDELT1=1.0, CDELT2=1.0)
        with pytest.raises(
            UsageError, match=r'a\.fits does not state .*: its header gives pixels of 3600", which no cam'
        ):
            FitsFolder(tmp_path, resample=0.05)
        with pytest.raises(UsageError, match=r'a\.fits has 6 x 6 pixels of 3600", which are 4.32e.05 x'):
            FitsFolder(tmp_path, resample=0.05, pixel_scale=3600)
        assert FitsFolder(tmp_path, resample=0.05, pixel_scale=0.1).image_shape == (1, 12, 12)
