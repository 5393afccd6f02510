"""Pictures, read at full depth.

Pillow and tifffile write them; pictures with 16-bit colours are made by hand.
"""

from __future__ import annotations

import logging
import struct
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile
from astropy.io import fits
from PIL import Image

from lenskit.data.readers import find_reader, open_dataset
from lenskit.errors import LenskitError, UsageError
from lenskit_datasets.image_folder import ImageFolder


def numbers(*shape: int, kind: str = "u1", seed: int = 0) -> np.ndarray:
    """Return random numbers over the entire range of a type."""
    rng = np.random.default_rng(seed)
    if np.dtype(kind).kind == "f":
        return rng.normal(size=shape).astype(kind)
    return rng.integers(0, np.iinfo(kind).max, shape, endpoint=True).astype(kind)


def picture(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def deep_png(path: Path, pixels: np.ndarray) -> Path:
    """Write a PNG with 16 bits in each of its channels, by the specification.

    The channels are 1 (gray), 2 (gray and alpha), 3 (RGB) or 4 (RGB and alpha).
    """

    def part(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, channels = pixels.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in pixels)
    content = part(b"IHDR", header) + part(b"IDAT", zlib.compress(lines)) + part(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    return path


def image_of(path: Path, **options: object) -> np.ndarray:
    return ImageFolder(path, **options).read([0])[0][0, 0].numpy()


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_gray_pictures_of_8_and_16_bits(tmp_path: Path, ending: str, kind: str) -> None:
    pixels = numbers(9, 9, kind=kind)
    read = image_of(picture(tmp_path / f"a.{ending}", pixels))
    assert (read.dtype, read.shape) == (np.float32, (1, 9, 9))
    np.testing.assert_array_equal(read[0], pixels)


def test_16_bits_are_never_cut_down_to_8(tmp_path: Path) -> None:
    """Pillow reduces colours to 8 bits without a warning."""
    gray = numbers(6, 6, 1, kind="u2")
    np.testing.assert_array_equal(image_of(deep_png(tmp_path / "gray.png", gray))[0], gray[..., 0])
    for channels in (2, 3, 4):
        with pytest.raises(UsageError, match="colour.png has 16 bits in each of several channels, and Pillow rea"):
            ImageFolder(deep_png(tmp_path / "colour.png", numbers(6, 6, channels, kind="u2")))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["f4", "f8", "f2", ">f4", ">u2", "i2", "u4", "u1"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_tiff(tmp_path: Path, kind: str, channels: int, compression: str | None) -> None:
    pixels = numbers(8, 9, *[channels] * (channels > 1), kind=kind)
    photometric = "rgb" if channels > 1 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tiff", pixels, photometric=photometric, compression=compression)
    read = image_of(tmp_path / "a.tiff", size=8)
    np.testing.assert_array_equal(read, np.moveaxis(pixels.reshape(8, 9, -1), -1, 0)[..., :8].astype(np.float32))


def test_tiff_with_its_channels_apart(tmp_path: Path) -> None:
    pixels = numbers(3, 8, 8, kind="f4")
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(image_of(tmp_path / "a.tif"), pixels)


def test_colours_palettes_and_transparency(tmp_path: Path) -> None:
    rgb, alpha = numbers(8, 8, 3), numbers(8, 8, 1, seed=1)
    expected = np.moveaxis(rgb, -1, 0).astype(np.float32)
    np.testing.assert_array_equal(image_of(picture(tmp_path / "rgb.png", rgb)), expected)
    np.testing.assert_array_equal(image_of(picture(tmp_path / "rgba.png", np.concatenate([rgb, alpha], 2))), expected)
    np.testing.assert_array_equal(image_of(picture(tmp_path / "la.png", rgb[..., :2]))[0], expected[0])
    few = rgb // 64 * 64
    Image.fromarray(few).quantize(64).save(tmp_path / "p.png")
    np.testing.assert_array_equal(
        image_of(tmp_path / "p.png"), np.moveaxis(np.asarray(Image.open(tmp_path / "p.png").convert("RGB")), -1, 0)
    )
    smooth = np.add.outer(np.arange(16), np.arange(16)).astype("u1") * 8
    read = image_of(picture(tmp_path / "a.JPG", smooth, quality=95))
    assert np.abs(read[0] - smooth).max() < 8  # the loss of JPEG


@pytest.mark.parametrize(("shape", "read"), [((8, 8), (1, 8, 8)), ((2, 8, 8), (2, 8, 8)), ((8, 8, 3), (3, 8, 8))])
def test_arrays(tmp_path: Path, shape: tuple[int, ...], read: tuple[int, ...]) -> None:
    array = numbers(*shape, kind=">f8")
    np.save(tmp_path / "a.npy", array)
    expected = np.moveaxis(array, -1, 0) if shape[-1] == 3 else array.reshape(read)
    np.testing.assert_array_equal(image_of(tmp_path / "a.npy"), expected.astype(np.float32))


def test_a_folder_and_its_labels(tmp_path: Path) -> None:
    for seed, name in enumerate(("b.png", "a.TIF", "c.png")):
        picture(tmp_path / name, numbers(8, 8, seed=seed))
    (tmp_path / ".hidden.png").write_text("")
    (tmp_path / "labels.csv").write_text("name,theta_E_arcsec,note\nc.png,1.5,x\na,0.5,y\n")
    assert find_reader(str(tmp_path)) == ("image-folder", tmp_path)
    data = open_dataset(str(tmp_path), pixel_scale=0.05)
    assert (data.names, data.image_shape, data.pixel_scale) == (["a", "b", "c"], (1, 8, 8), 0.05)
    assert [(p.name, p.unit) for p in data.parameters] == [("theta_E", "arcsec")]
    images, values = data.read([2, 0, 1])
    for row, seed in enumerate((2, 1, 0)):
        np.testing.assert_array_equal(images[row, 0, 0], numbers(8, 8, seed=seed))
    assert (values["theta_E"][:2].tolist(), values["theta_E"][2].isnan().item()) == ([1.5, 0.5], True)
    assert list(data.check()) == [("a", ""), ("b", ""), ("c", "")]


def test_a_folder_a_class(tmp_path: Path) -> None:
    for folder, count in (("ring", 2), ("double", 1), ("arc", 3)):
        for number in range(count):
            picture(tmp_path / folder / "deep" / f"{number}.png", numbers(8, 8, seed=number))
    (tmp_path / "labels.csv").write_text("name,class\nring/deep/0,1\n")
    with pytest.raises(UsageError, match="class is both the class label and a column of the labels: use label="):
        ImageFolder(tmp_path)
    data = ImageFolder(tmp_path, label="shape")
    assert [(p.name, p.classes) for p in data.parameters] == [("shape", ("arc", "double", "ring")), ("class", ())]
    assert data.names == [*(f"arc/deep/{i}" for i in range(3)), "double/deep/0", "ring/deep/0", "ring/deep/1"]
    assert data.read_parameters(range(6))["shape"].tolist() == [0, 0, 0, 1, 2, 2]
    (tmp_path / "labels.csv").unlink()
    some = ImageFolder(tmp_path, classes=["ring", "arc"])
    assert some.parameters[0].classes == ("ring", "arc")
    assert some.read([4, 0])[1]["class"].tolist() == [0, 1]
    assert ImageFolder(tmp_path, label="").parameters == []
    with pytest.raises(UsageError, match="there is no class 'rnig' in .*; it has arc, double, ring"):
        ImageFolder(tmp_path, classes=["rnig"])
    part = ImageFolder(tmp_path, pattern="arc/*/*")
    assert len(part) == 3


def test_folders_in_folders_are_asked_for_the_level_of_the_class(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for kind in ("ring", "arc"):
            for number in range(2):
                picture(tmp_path / "data" / split / kind / f"{number}.png", numbers(8, 8, seed=number))
    with pytest.raises(UsageError, match="which level is the class") as raised:
        ImageFolder(tmp_path)
    assert str(raised.value).partition("? ")[2] == (
        f"{tmp_path} has data/test/arc/0.png: use pattern=data/test/*/* if it is arc, "
        "pattern=data/*/*/* if it is test, label= for none"
    )
    for pattern, kinds in {"data/test/*/*": ("arc", "ring"), "data/*/*/*": ("test", "train")}.items():
        assert ImageFolder(tmp_path, pattern=pattern).parameters[0].classes == kinds
    assert ImageFolder(tmp_path, classes=["train"]).parameters[0].classes == ("train",)
    assert ImageFolder(tmp_path, label="").parameters == []


def test_classes_below_the_folder_of_a_pattern(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for folder in ("a", "b"):
            for number in range(2):
                picture(tmp_path / split / folder / f"{number}.png", numbers(8, 8, seed=number))
    data = ImageFolder(tmp_path, pattern="train/*/*")
    assert (data.parameters[0].classes, data.names[0]) == (("a", "b"), "train/a/0")
    assert ImageFolder(tmp_path / "test").parameters[0].classes == ("a", "b")


def test_folders_of_one_image_each_are_lenses(tmp_path: Path) -> None:
    for name in ("J1", "J2"):
        picture(tmp_path / name / "image.png", numbers(8, 8))
    assert ImageFolder(tmp_path).parameters == []
    assert ImageFolder(tmp_path, classes=["J1", "J2"]).parameters[0].classes == ("J1", "J2")


def test_sizes_that_differ(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", numbers(10, 10))
    picture(tmp_path / "b.png", numbers(13, 12))
    with pytest.raises(UsageError, match=r"b.png has 13 x 12 pixels, .*a.png has 10 x 10: use size=10 to cut out"):
        ImageFolder(tmp_path)
    with pytest.raises(UsageError, match="a.png has 10 x 10 pixels, fewer than size=11"):
        ImageFolder(tmp_path, size=11)
    images = ImageFolder(tmp_path, size=8).read([0, 1])[0][:, 0, 0]
    np.testing.assert_array_equal(images[0], numbers(10, 10)[1:9, 1:9])
    np.testing.assert_array_equal(images[1], numbers(13, 12)[2:10, 2:10])


def test_fits_come_first(tmp_path: Path) -> None:
    """A picture next to a FITS file is a preview."""
    picture(tmp_path / "J1" / "preview.png", numbers(8, 8))
    fits.writeto(tmp_path / "J1" / "image.fits", numbers(8, 8, kind="f4"))
    assert find_reader(str(tmp_path))[0] == "fits-folder"


def test_bad_pictures_are_named(tmp_path: Path) -> None:
    good = picture(tmp_path / "a.png", numbers(64, 64))
    cut, flat, holes = tmp_path / "b.png", tmp_path / "c.png", tmp_path / "d.tif"
    cut.write_bytes(good.read_bytes()[:2000])
    picture(flat, np.full((64, 64), 7, "u1"))
    tifffile.imwrite(holes, np.full((64, 64), np.nan, "f4"))
    gone = picture(tmp_path / "e.png", numbers(64, 64))
    half = tmp_path / "f.tif"
    tifffile.imwrite(half, numbers(64, 64, kind="f4"))
    data = ImageFolder(tmp_path)
    half.write_bytes(half.read_bytes()[:8000])
    gone.unlink()
    complaints = {
        1: "b.png cannot be read: ", 2: "c.png holds no image: all pixels are 7",
        3: "d.tif holds no image: all pixels are undefined", 4: "e.png is missing", 5: "f.tif cannot be read: ",
    }  # fmt: skip
    for number, complaint in complaints.items():
        with pytest.raises(LenskitError, match=complaint) as raised:
            data.read([0, number])
        assert "\n" not in str(raised.value)
    assert [bool(wrong) for _, wrong in data.check()] == [False, True, True, True, True, True]


def test_what_is_not_finite_is_filled(tmp_path: Path) -> None:
    pixels = numbers(16, 16, kind="f4")
    pixels[5, 6] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    assert np.argwhere(image_of(tmp_path / "a.tif")[0] != pixels).tolist() == [[5, 6]]


def test_what_it_does_not_take(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file or folder nowhere; this reader takes a folder of PNG"):
        ImageFolder("nowhere")
    with pytest.raises(UsageError, match="there is no file in .* that ends in .png, .jpg"):
        ImageFolder(tmp_path)
    Image.fromarray(numbers(8, 8, 4), "CMYK").save(tmp_path / "cmyk.jpg")
    tifffile.imwrite(tmp_path / "pages.tif", numbers(3, 8, 8), photometric="minisblack")
    np.save(tmp_path / "many.npy", numbers(20, 8, 8))
    np.save(tmp_path / "objects.npy", np.array([{}, None]), allow_pickle=True)
    np.save(tmp_path / "complex.npy", numbers(8, 8, kind="f4") * 1j)
    tifffile.imwrite(tmp_path / "complex.tif", numbers(8, 8, kind="f4") * 1j)
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "text.png").write_text("no image")
    complaints = {
        "cmyk.jpg": "is a picture of mode CMYK; grayscale and RGB are read",
        "pages.tif": "has 3 pages; pictures of one page are read",
        "many.npy": r"holds an array \(20, 8, 8\); one image is",
        "objects.npy": "holds Python objects, which are not read: save an array of numbers",
        "complex.npy": "holds values of the type complex64; images are real numbers",
        "complex.tif": "holds values of the type complex64; images are real numbers",
        "text.npy": "text.npy cannot be read: it is not a numpy file",
        "text.png": "cannot be read: cannot identify image file",
    }
    for name, complaint in complaints.items():
        with pytest.raises(LenskitError, match=complaint):
            ImageFolder(tmp_path / name)
    picture(tmp_path / "both" / "a.png", numbers(8, 8))
    picture(tmp_path / "both" / "c" / "a.png", numbers(8, 8))
    with pytest.raises(UsageError, match=r"holds images itself \(such as a.png\) and in folders \(such as c/a.png\)"):
        ImageFolder(tmp_path / "both")
    picture(tmp_path / "twice" / "a.png", numbers(8, 8))
    picture(tmp_path / "twice" / "a.tif", numbers(8, 8))
    with pytest.raises(UsageError, match="2 files in .* are called a: choose one with a pattern"):
        ImageFolder(tmp_path / "twice")
    picture(tmp_path / "twice" / "b.png", numbers(8, 8, 3))
    with pytest.raises(UsageError, match=r"b.png has 3 channels, .*a.png has 1: all must agree"):
        ImageFolder(tmp_path / "twice", pattern="*.png")


@pytest.mark.parametrize("ending", ["png", "tif", "jpg"])
def test_pictures_larger_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """Pillow's own limit has no effect and does not change."""
    path = picture(tmp_path / f"a.{ending}", numbers(60, 60))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setenv("LENSKIT_MAX_BYTES", "14399")
    with pytest.raises(LenskitError, match=r"an image in float32 takes 14400 bytes .* LENSKIT_MAX_BYTES=14400$"):
        ImageFolder(path, size=8)
    monkeypatch.setenv("LENSKIT_MAX_BYTES", "14400")
    assert image_of(path).shape == (1, 60, 60)
    assert Image.MAX_IMAGE_PIXELS == 100
    data = ImageFolder(path, size=8)
    picture(path, numbers(100, 100))
    with pytest.raises(LenskitError, match=r"takes 40000 bytes"):
        data.read([0])


@pytest.mark.slow
def test_a_strip_that_unpacks_to_more_than_it_should(tmp_path: Path) -> None:
    path, pixels = tmp_path / "a.tif", numbers(300, 300, kind="u2")
    tifffile.imwrite(path, pixels, compression="zlib")
    np.testing.assert_array_equal(image_of(path)[0], pixels)
    with tifffile.TiffFile(path) as tiff:
        tags = [tiff.pages[0].tags[name].valueoffset for name in ("StripOffsets", "StripByteCounts")]
    content = bytearray(path.read_bytes())
    bomb = zlib.compress(b"\0" * 10**8)
    for place, value in zip(tags, (len(content), len(bomb)), strict=True):
        content[place : place + 4] = struct.pack("<I", value)
    path.write_bytes(content + bomb)
    with pytest.raises(LenskitError, match=r"a.tif is damaged: a strip or tile expands to more than its 180000 bytes"):
        ImageFolder(path).read([0])


@pytest.mark.parametrize("compression", ["tiff_lzw", "zstd"])
@pytest.mark.parametrize("kind", ["u1", "u2", "i4", "f4", "rgb"])
def test_compressions_that_only_pillow_reads(tmp_path: Path, kind: str, compression: str) -> None:
    pixels = numbers(8, 9, 3, kind="u1") if kind == "rgb" else numbers(8, 9, kind=kind)
    try:
        file = picture(tmp_path / "a.tif", pixels, compression=compression)
    except OSError:
        pytest.skip(f"this Pillow does not write {compression}")
    read = image_of(file, size=8)
    expected = np.moveaxis(pixels, -1, 0) if kind == "rgb" else pixels[None]
    np.testing.assert_array_equal(read, expected[..., :8].astype(np.float32))


def test_jpeg_in_tiff(tmp_path: Path) -> None:
    pixels = np.broadcast_to(np.arange(0, 240, 10, "u1")[:, None], (24, 24))
    for name, shown in (("gray", pixels), ("colour", np.stack([pixels] * 3, -1))):
        read = image_of(picture(tmp_path / f"{name}.tif", shown, compression="jpeg"))
        np.testing.assert_allclose(read, np.moveaxis(np.atleast_3d(shown), -1, 0), atol=8)


@pytest.mark.skipif(find_spec("imagecodecs") is not None, reason="imagecodecs reads every TIFF")
def test_a_compression_that_nothing_reads_is_told_of_when_opened(tmp_path: Path) -> None:
    file = picture(tmp_path / "a.tif", numbers(8, 8, kind="u1"), compression="tiff_lzw")
    content = file.read_bytes()
    tag, value = struct.pack("<HHI", 259, 3, 1), content.index(struct.pack("<HHI", 259, 3, 1))
    file.write_bytes(content[: value + len(tag)] + struct.pack("<H", 34933) + content[value + len(tag) + 2 :])
    with pytest.raises(UsageError, match=r"a.tif is compressed as PNG, with uint8 pixels, .*: pip install imagecodecs"):
        ImageFolder(tmp_path)


def test_loops_of_links_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for kind in ("none", "ring"):
        for number in range(3):
            (tmp_path / kind).mkdir(exist_ok=True)
            picture(tmp_path / kind / f"{number}.PNG", numbers(6, 6, kind="u1"))
            (tmp_path / kind / f"._{number}.PNG").write_bytes(b"\0\5\x16\7")
        (tmp_path / kind / "Thumbs.db").write_bytes(b"")
    (tmp_path / "latest").symlink_to(".")
    assert ImageFolder.recognises(tmp_path)
    dataset = ImageFolder(tmp_path)
    assert (len(dataset), dataset.parameters[0].classes) == (6, ("none", "ring"))
    assert "1 link leads back to a folder and is left out: latest" in caplog.text


def test_what_tifffile_logs_is_not_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a handler, Python prints the warnings and errors of any logger."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logging.getLogger("tifffile").error("corrupted strip")
    logging.getLogger("another library").error("printed")
    assert capsys.readouterr().err == "printed\n"
