"""Tables of lenses with substructure: their classes, and refused values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

import lenskit
from lenskit.chosen import build
from lenskit.errors import UsageError
from lenskit.rendering.outputs import write
from lenskit.rendering.render import Rendering
from lenskit.rendering.table import read_table

SMALL = {"pixels": 32, "pixel_scale": 0.2}


def test_a_class_that_is_given_is_that_of_a_simulator_of_this_class_alone() -> None:
    classes = ["vortex", "none", "spherical"]
    images, values = lenskit.render({"substructure": classes}, "deeplense-a", set=SMALL, seed=4)
    assert values["substructure"].tolist() == classes
    for row, name in enumerate(classes):
        simulator = build("simulator", "deeplense-a", SMALL | {"classes": (name,)})
        (expected,) = simulator.render(simulator.scene(4, "render", torch.tensor([row])))
        np.testing.assert_allclose(images[row], expected, atol=1e-5)


def test_what_substructure_is_made_of_can_be_given() -> None:
    table = {
        "substructure": ["spherical", "vortex", "none"],
        "subhalos": [7, None, None],
        "subhalo_mass_fraction": [0.02, None, None],
        "string_length": [None, 1.5, None],
        "string_angle": [None, 0.25, None],
        "string_mass_fraction": [None, 0.04, None],
    }
    _, values = lenskit.render(table, "deeplense-a", set=SMALL)
    assert values["subhalos"].tolist() == [7, 0, 0]
    np.testing.assert_allclose(values["substructure_fraction"], [0.02, 0.04, 0], rtol=1e-5)
    np.testing.assert_allclose(values["string_length"], [np.nan, 1.5, np.nan])
    np.testing.assert_allclose(values["string_angle"], [np.nan, 0.25, np.nan])


def test_that_a_lens_has_none_of_what_other_classes_have_can_be_said() -> None:
    """A table of recorded values has this form; a random class is not checked."""
    none = {"subhalos": [0], "subhalo_mass_fraction": [0], "string_mass_fraction": [0]}
    lenskit.render({"substructure": ["none"], **none}, "deeplense-a", set=SMALL)
    lenskit.render({"substructure": [None, "none"], "subhalo_r": [1, None]}, "deeplense-a", set=SMALL)


@pytest.mark.parametrize(
    ("columns", "options", "complaint"),
    [
        (
            {"substructure": ["vortexx"]},
            {},
            "row 0 (from 0), column substructure: 'vortexx' is not a class (did you mean",
        ),
        (
            {"substructure": ["none", "vortex"]},
            {"classes": ("none", "spherical")},
            "row 1 (from 0), column substructure: vortex is not a class of this simulator",
        ),
        ({"string_length": [1]}, {}, "column string_length is not sampled by deeplense-a with these options (use"),
        (
            {"substructure": ["none"], "string_length": [1]},
            {},
            "row 0 (from 0), column string_length: 1 has no effect: sub",
        ),
        (
            {"substructure": ["spherical", "vortex"], "subhalo_mass_fraction": [0.02, 0.01]},
            {},
            "row 1 (from 0), column subhalo_mass_fraction: 0.01 has no effect: substructure is vortex there, not sphe",
        ),
        ({"substructure": ["spherical"], "string_mass_fraction": [0.02]}, {}, "row 0 (from 0), column string_mass_fr"),
        ({"substructure": ["none"], "subhalo_r": [0]}, {}, "row 0 (from 0), column subhalo_r: 0 has no effect"),
        (
            {"substructure": ["none"], "log_axion_mass": [-23]},
            {"log_axion_mass": "uniform(-24, -22)"},
            "row 0 (from 0), column log_axion_mass: -23 has no effect",
        ),
        ({"substructure": ["spherical"], "subhalos": [900]}, {}, "row 0 (from 0), column subhalos: 900 is above"),
        ({"gamma1": [0.1]}, {}, "column gamma1 cannot be set, because deeplense-a derives it"),
        ({"lens_q": [0.7]}, {}, "row 0 (from 0), column lens_q: 0.7 differs from its prior, the constant 1"),
        ({"snr": [20, 0]}, {}, "row 1 (from 0), column snr: 0 is not above 0"),
        ({"z_lens": [0.5, 1.1]}, {}, "row 1 (from 0), column z_lens: 1.1 is wrong: the lens, at 1.1, must be in front"),
        (
            {"snr": [99]},
            {"background_rms": 0.0105},
            "row 0 (from 0), column snr: 99 is too large: snr (99) x background_rms (0.0105) must be below 1",
        ),
    ],
)
def test_what_cannot_be_rendered_is_refused_with_its_place(
    columns: dict[str, Any], options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UsageError) as error:
        lenskit.render(columns, "deeplense-a", set=SMALL | options)
    assert str(error.value).removeprefix("the table").lstrip(":, ").startswith(complaint)


def test_what_only_the_table_says_has_its_unit() -> None:
    """Parameters from a table are recorded with unit, symbol and group.

    Their priors do not vary, so that they are not recorded without the table.
    """
    table = {"theta_E": [1.0], "shear_angle": [0.3], "source_r": [0.2], "snr": [15]}
    rendering = Rendering(read_table(table), build("simulator", "deeplense-a", SMALL), "deeplense-a")
    found = {p.name: (p.unit, p.group) for p in rendering.parameters if p.name in table}
    assert found == {
        "theta_E": ("arcsec", "lens"), "shear_angle": ("rad", "lens"),
        "source_r": ("arcsec", "source"), "snr": ("", "instrument"),
    }  # fmt: skip
    write(rendering, Path("lenses.h5"), "hdf5")
    with h5py.File("lenses.h5") as file:
        assert [file[name].attrs["units"] for name in table] == ["arcsec", "rad", "arcsec", "1"]
