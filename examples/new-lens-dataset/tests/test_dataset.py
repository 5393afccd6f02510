"""Properties of every reader, and of this one."""

import numpy as np
import pytest
from astropy.io import fits
from lenskit_ssl_survey.dataset import Survey

from lenskit.plugin import LenskitError, UsageError
from lenskit.testing import DatasetContract

SIZES = {"a": 17, "b": 21, "c": 19, "d": 25}
TABLE = "OBJ_ID,RA,R_EIN,QFLAG\na,10.1,1.1,0\nb,10.2,,0\nc,10.3,0.9,0\nd,10.4,1.4,2\n"


def write(folder):
    """Write four lenses.

    `a` has an undefined and a masked pixel, `b` no radius, and `d` a flag.
    """
    (folder / "cutouts").mkdir()
    (folder / "catalogue.csv").write_text(TABLE)
    rng = np.random.default_rng(0)
    for name, size in SIZES.items():
        image = rng.random((size, size)).astype(np.float32)
        image[size // 2, size // 2] = 7  # the centre
        mask = np.zeros(image.shape, np.uint8)
        if name == "a":
            image[4, 5], mask[6, 7] = np.nan, 2
        hdus = [fits.PrimaryHDU(image, fits.Header({"PIXSCALE": 0.2})), fits.ImageHDU(mask, name="MASK")]
        fits.HDUList(hdus).writeto(folder / "cutouts" / f"{name}.fits")
    return folder


class TestSurvey(DatasetContract):
    component = "survey"

    def write(self, folder):
        return write(folder)


def test_radii_are_those_of_good_rows_in_the_order_asked_for(tmp_path):
    survey = Survey(write(tmp_path))
    assert survey.names == ("a", "b", "c")
    np.testing.assert_allclose(survey.read([2, 0, 1])[1]["theta_E"], [0.9, 1.1, np.nan], rtol=1e-6)


def test_flagged_lenses_are_read_on_request(tmp_path):
    assert Survey(write(tmp_path), flagged=True).names == ("a", "b", "c", "d")


def test_images_have_the_size_of_the_smallest_cutout_and_keep_their_centre(tmp_path):
    survey = Survey(write(tmp_path))
    images, _ = survey.read([0, 1, 2])
    assert images.shape == (3, 1, 1, 17, 17)
    assert (images[..., 8, 8] == 7).all()
    assert survey.pixel_scale == 0.2


def test_masked_pixels_are_undefined(tmp_path):
    images, _ = Survey(write(tmp_path)).read([0, 1])
    assert images[0].isnan().nonzero()[:, 2:].tolist() == [[4, 5], [6, 7]]
    assert not images[1].isnan().any()


def test_a_larger_size_than_the_smallest_cutout_is_refused(tmp_path):
    with pytest.raises(UsageError, match="size=18: choose 1 to 17"):
        Survey(write(tmp_path), size=18)


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("OBJ_ID,QFLAG\na,0\n", "lacks the columns R_EIN"),
        ("OBJ_ID,R_EIN,QFLAG\na,1.1,1\n", "no lens with a quality flag of 0"),
        ("OBJ_ID,R_EIN,QFLAG\na,large,0\n", "column R_EIN"),
        ("OBJ_ID,R_EIN,QFLAG\na,1.1,0\na,1.2,0\n", "two rows with the same OBJ_ID"),
    ],
)
def test_a_fault_in_the_catalogue_is_named(tmp_path, table, fault):
    (write(tmp_path) / "catalogue.csv").write_text(table)
    with pytest.raises(UsageError, match=fault):
        Survey(tmp_path)


def test_the_name_of_a_missing_cutout_is_given(tmp_path):
    (write(tmp_path) / "cutouts" / "b.fits").unlink()
    with pytest.raises(LenskitError, match="b.fits cannot be read: .*No such file"):
        Survey(tmp_path)


def test_cutouts_of_two_pixel_scales_are_refused(tmp_path):
    fits.setval(write(tmp_path) / "cutouts" / "c.fits", "PIXSCALE", value=0.1)
    with pytest.raises(UsageError, match="pixels of 0.1 to 0.2 arcsec"):
        Survey(tmp_path)
