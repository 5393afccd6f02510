"""Plans of stores."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit.config import Config
from lenskit.errors import UsageError
from lenskit.store.plan import CHUNK_BYTES, Plan, default_chunk, differences

Make = Callable[..., Plan]


@given(values=st.integers(1, 10**9))
@settings(deadline=None)
def test_chunks_are_powers_of_two_and_as_large_as_allowed(values: int) -> None:
    chunk = default_chunk(values)
    assert chunk & (chunk - 1) == 0
    assert chunk == 1 or 4 * values * chunk <= CHUNK_BYTES
    assert 4 * values * chunk * 2 > CHUNK_BYTES


def test_lensiam_pairs_come_in_chunks_of_64_lenses() -> None:
    assert default_chunk(2 * 110 * 110) == 64


@given(lenses=st.integers(1, 500), chunk=st.integers(1, 200))
@settings(deadline=None, max_examples=50)
def test_chunks_hold_every_lens_once(lenses: int, chunk: int) -> None:
    plan = Plan({"simulate": {"lenses": lenses, "chunk": chunk}}, (), (1, 2, 2), None, {})
    assert [lens for number in range(plan.chunks) for lens in plan.lenses_of(number)] == list(range(lenses))


def test_attributes_say_everything(plan: Make) -> None:
    wanted = plan(views=3)
    assert Plan.from_attributes(json.loads(json.dumps(wanted.attributes()))) == wanted
    assert wanted.configuration["simulate"] == {
        "lenses": 10, "views": 3, "shared": ["lens"], "seed": 5, "split": "train", "dtype": "float32", "chunk": 4,
    }  # fmt: skip
    assert wanted.configuration["simulator"] == {
        "name": "blobs@lenskit-ssl-toys",
        "width": "uniform(1, 3)",
        "pixels": 8,
    }
    assert set(wanted.mode["versions"]) == {"lenskit-ssl", "lenskit-ssl-toys", "torch", "numpy"}


def test_pairs_may_share_only_what_the_simulator_draws(install: Callable[..., None]) -> None:
    install(
        "odd",
        '@hookimpl\ndef lenskit_pairs():\n    return [Component("odd", "odd:Odd", "Shares the weather")]\n',
        odd="from lenskit_siamese.pairs import Default\n\nclass Odd(Default):\n    shared_groups = {'weather'}\n",
    )
    layer = {"simulator": {"name": "blobs"}, "pairs": {"name": "odd"}}
    with pytest.raises(UsageError, match="share weather, but the simulator's groups are lens, source, instrument"):
        Plan.of(Config.resolve(layer, only=("simulator", "pairs")), lenses=2)


def test_stored_images_are_not_simulated() -> None:
    with pytest.raises(UsageError, match="pass --simulator NAME"):
        Plan.of(Config({"pairs": {"name": "single"}}), lenses=2)


def test_differences_name_the_innermost_field() -> None:
    held, wanted = {"a": {"b": 1, "c": [2]}, "d": 4}, {"a": {"b": 1, "c": [3], "e": 5}, "d": 4}
    assert list(differences(held, wanted)) == [("a.c", [2], [3]), ("a.e", None, 5)]
