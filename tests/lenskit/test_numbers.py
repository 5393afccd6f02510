"""Every option of every component, and every flag, refuses numbers out of range."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lenskit.component import FILES, KINDS
from lenskit.config import SETTINGS, Config
from lenskit.errors import UsageError
from lenskit.layers import read_assignment, read_layer
from lenskit.options import INTEGERS, LARGEST, options_of, validate
from lenskit.registry import registry
from lenskit.settings import OptimizerSettings

NUMBERS = [
    -1, 0, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1e30, 1e300, math.nan, math.inf, -math.inf,
    "nan", "inf", "1e400", "9" * 5000, 1 << 20000, [2**64], {"a": math.nan},
]  # fmt: skip


def components() -> Iterator[tuple[str, type]]:
    """Yield names and classes of all components and settings."""
    for kind in sorted(KINDS.keys() - {*FILES, "encoder", "command"}):
        for record in registry().of_kind(kind):
            yield f"{kind} {record.name!r}", record.load()
    yield from {**SETTINGS, "optimizer": OptimizerSettings}.items()


def numbers_in(value: Any) -> Iterator[float]:
    """Yield all numbers in the value of an option."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from numbers_in(inner)
    elif isinstance(value, int | float):
        yield value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "component"), list(components()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_option_takes_a_number_that_it_can_hold_or_refuses_it_in_a_line(where: str, component: type) -> None:
    options = options_of(component)
    needed = {option.name: "x" for option in options if option.required}
    for option in options:
        for number in NUMBERS:
            complaint, held = "", None
            try:
                held = validate(component, needed | {option.name: number}, where)[0][option.name]
            except UsageError as error:
                complaint = str(error)
            assert not complaint or option.name in complaint
            assert len(complaint.splitlines()) <= 1
            assert len(complaint) < 400
            held = list(vars(held).values()) if hasattr(held, "quantile") else held
            assert all(x in INTEGERS if isinstance(x, int) else abs(x) <= LARGEST for x in numbers_in(held))


class ThirdParty:
    """Component without ranges."""

    def __init__(self, *, count: int = 1, factor: float = math.inf, anything: Any = None, text: str = "") -> None:
        self.factor = factor


@pytest.mark.parametrize(
    "values",
    [{"count": 2**63}, {"factor": 1e39}, {"factor": math.nan}, {"anything": [1, {"a": 2**64}]}, {"text": "a\udcff"}],
)
def test_options_without_a_range_have_the_machines(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"method 'x': option {next(iter(values))} takes"):
        validate(ThirdParty, values, "method 'x'")


def test_an_infinite_default_stays_one() -> None:
    plain = validate(ThirdParty, {"count": 2**63 - 1}, "method 'x'")[1]
    assert validate(ThirdParty, plain, "method 'x'")[1] == plain | {"factor": math.inf}


@pytest.mark.parametrize(
    "line",
    [
        "train --recipe toys --seed 18446744073709551616",
        "train --recipe toys --devices 1e300 --accelerator cpu",
        "train --recipe toys --devices 99999999999999999999 --accelerator cpu",
        "train --recipe toys --num-nodes 1000000000000",
        "train --recipe toys --lr 1e300",
        "train --recipe toys --lr nan",
        "train --recipe toys --lr inf",
        "train --recipe toys --batch-size 9223372036854775807",
        "train --recipe toys --epochs 9223372036854775807",
        "train --recipe toys --lenses 1000000000000",
        "train --recipe toys --set input.size=1000000000",
        "train --recipe toys --set input.channels=1000000000",
        "train --recipe toys --set input.workers=1000000000",
        "train --recipe toys --set train.seed=1" + 5000 * "0",
        "train --recipe toys --set train.seed=0x" + 5000 * "f",
        "train --recipe toys --set train.seed=" + 5000 * "[",
        "benchmark --recipe toys --batches 18446744073709551616",
        "simulate --simulator toy --lenses 18446744073709551616 --out x.zarr",
        "simulate --simulator toy --lenses 4 --seed 18446744073709551616 --out x.zarr",
        "simulate --simulator toy --lenses 4 --workers 1000000000 --out x.zarr",
        "simulate --simulator toy --lenses 4 --chunk 18446744073709551616 --out x.zarr",
        "show --simulator toy --seed 18446744073709551616",
        "show --simulator toy --size 18446744073709551616",
        "show --simulator toy --first 18446744073709551616",
        "show --simulator toy --dpi 18446744073709551616",
        "render x.csv --simulator toy --seed 18446744073709551616 -o x.npy",
        "probe x --seed 4294967295",
        "umap x --n-neighbors 1000000000000",
    ],
)  # fmt: skip
def test_every_flag_refuses_what_is_out_of_range(line: str, lenskit: Callable[..., Any]) -> None:
    assert len(lenskit(*line.split()).complaint()) <= 400
    assert not list(Path().iterdir())


@pytest.mark.parametrize("text", ["train.seed=1\nname = 2", "train.seed=1\r2", "train.seed=1\u2028x", "train.x\n=1"])
def test_one_assignment_is_one_line(text: str) -> None:
    with pytest.raises(UsageError, match="--set takes one option in one line"):
        read_assignment(text)


def test_a_file_with_a_number_without_end_is_no_toml() -> None:
    for text in ("a = 1" + 5000 * "0", "a = " + 5000 * "["):
        Path("x.toml").write_text(text)
        with pytest.raises(UsageError, match="x.toml is no valid TOML"):
            read_layer(Path("x.toml"))


def test_a_path_that_is_no_text_is_refused_before_it_is_written_down() -> None:
    with pytest.raises(UsageError, match=r"the path '/data/\\udcff' is not valid UTF-8: rename"):
        Config.resolve({"data": {"name": "fits-folder", "path": "/data/\udcff"}})
