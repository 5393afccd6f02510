"""Contract of instruments: each test finds its planted fault."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from torch import Tensor

from lenskit.plugin import KeyedGenerator, Parameter, Scene, Simulator
from lenskit.toolbox import read_toml
from tests.lenskit.testing import planted as table

KIND = "instrument"

SOUND = """
source = "a paper"
[bands.white]
gain = 2.0
psf_file = "mine_files:psf.fits"
"""

table.FILES["mine_files/__init__.py"] = b""
table.FILES["mine_files/psf.fits"] = b""


class Photometer(Simulator):
    """Simulator that multiplies noise by the gain of an instrument.

    Args:
        instrument: Name of the instrument.
    """

    groups = ("noise",)
    parameters = (Parameter("level", group="noise"),)
    image_shape = (1, 8, 8)

    def __init__(self, *, instrument: str = "") -> None:
        self.gain = read_toml("instrument", instrument)["bands"]["white"]["gain"] if instrument else 1.0

    def draw(self, group: str, rng: KeyedGenerator, scene: Scene) -> Scene:
        return {"level": rng.uniform("level"), "noise": rng.noise("noise", 1, 8, 8)}

    def render(self, scene: Scene, omit: Iterable[str] = ()) -> Tensor:
        return self.gain * (scene["level"][:, None, None, None] + scene["noise"])


PHOTOMETER = table.support("simulator", "photometer", Photometer)


def file_of(name: str, text: str) -> str:
    """Add a file to the distribution, and return its import string."""
    table.FILES[f"mine_files/{name}.toml"] = text.encode()
    return f"mine_files:{name}.toml"


def planted(test: str, does: str, says: str, name: str, text: str, **more: Any) -> None:
    """Add an instrument with a fault."""
    table.plant(KIND, test, does, says, file_of(name, text), **{"simulator": PHOTOMETER} | more)


table.SOUND.append(
    table.Planted(
        KIND, "", "states a gain", "", file_of("sound", SOUND), None, {"simulator": PHOTOMETER}, "An instrument"
    )
)
planted("the summary is one line", "has an empty summary", "has an empty summary", "blank", SOUND, summary=" ")
planted("the file is toml", "is empty", "is an empty file: state its bands", "empty", "# nothing\n")
planted("the file is toml", "is no TOML", "cannot be read: ", "yaml", "bands:\n  white: 2.0\n")
planted("the file is toml", "names a missing file", "cannot be read: ", "missing", "")
planted("the source is stated", "has no source", "states no source", "secret", SOUND.replace("source", "# source"))
planted(
    "its files are in the package", "names a PSF that is not in its package", "names the missing file",
    "absent", SOUND.replace("psf.fits", "none.fits"),
)  # fmt: skip
planted(
    "its files are in the package", "names a PSF of a package that is not installed", "missing file other:psf",
    "foreign", SOUND.replace("mine_files", "other"),
)  # fmt: skip
planted(
    "a simulator renders with it", "lacks a value that the simulator reads", "cannot be used by any simulator",
    "gainless", SOUND.replace("gain", "grain"),
)  # fmt: skip
planted(
    "a simulator renders with it", "makes all pixels infinite", "gives NaN or infinite pixels in simulator", "bright",
    SOUND.replace("2.0", "inf"),
)  # fmt: skip
table.FILES.pop("mine_files/missing.toml")


@pytest.mark.parametrize("fault", table.faults(KIND), ids=str)
def test_a_planted_fault_is_found(fault: table.Planted) -> None:
    table.check_found(fault)


def test_the_table_is_complete() -> None:
    table.check_complete(KIND)
