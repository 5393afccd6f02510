from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lenskit.errors import LenskitError
from lenskit.evaluation import Rows, Split, check_units, sides_of
from lenskit.evaluations.splits import JUDGED_PART, split_rows
from lenskit.plugin import Parameter


@st.composite
def collections(draw):
    """Draw images of lenses: up to three per lens, with galaxies 0 to 39 or none.

    The galaxies are source and companion.
    """
    n = draw(st.integers(30, 80))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    lens = rng.integers(0, n, n) * 7
    things = {
        name: np.where(rng.random(n) < share, rng.integers(0, 40, n), none).astype(float)
        for name, share, none in (("source_stamp", 0.7, -1), ("companion_stamp", 0.2, np.nan))
    }
    return lens, dict(list(things.items())[: draw(st.integers(0, 2))])


@settings(max_examples=60, deadline=None)
@given(given_=collections(), lenses=st.integers(1, 60), test_lenses=st.integers(1, 60), seed=st.integers(0, 99))
def test_sides_share_neither_lens_nor_thing(given_, lenses, test_lenses, seed):
    lens, things = given_
    train, test = split_rows(lens, things, lenses, test_lenses, seed)
    assert not set(lens[train]) & set(lens[test])
    shown = [{v[i] for v in things.values() for i in rows if v[i] >= 0} for rows in (train, test)]
    assert not shown[0] & shown[1]
    count = len(np.unique(lens))
    assert 1 <= len(np.unique(lens[train])) <= lenses
    assert 1 <= len(np.unique(lens[test])) <= min(test_lenses, count // 4)
    if not things:
        assert len(np.unique(lens[test])) == min(test_lenses, count // 4)
        assert len(np.unique(lens[train])) == min(lenses, count - len(np.unique(lens[test])))
        # all images of a chosen lens are included
        assert set(np.flatnonzero(np.isin(lens, lens[train]))) == set(train)
    again = split_rows(lens, things, lenses, test_lenses, seed)
    assert all(np.array_equal(a, b) for a, b in zip(again, (train, test), strict=True))


def test_images_with_and_without_a_thing_are_as_frequent_on_either_side():
    rng = np.random.default_rng(0)
    stamp = np.where(rng.random(40_000) < 0.75, rng.integers(0, 4000, 40_000), -1).astype(float)
    for mask, share in zip(sides_of({"stamp": stamp}, np.arange(40_000)), (1 - 1 / JUDGED_PART, 1 / JUDGED_PART),
                           strict=True):  # fmt: skip
        assert mask.mean() == pytest.approx(share, abs=0.01)
        # for at least 10,000 images the standard error of the fraction is below .0044
        assert (stamp[mask] >= 0).mean() == pytest.approx(0.75, abs=0.018)


def test_what_cannot_be_split():
    with pytest.raises(LenskitError, match="1 lenses cannot be split"):
        split_rows(np.zeros(5, int), {}, 10, 10, 0)
    with pytest.raises(LenskitError, match="20 lenses cannot be split"):
        split_rows(np.arange(20), {"stamp": np.zeros(20)}, 10, 10, 0)


def rows(n: int = 4) -> Rows:
    values = {"theta_E": np.arange(n) + 0.5, "e1": np.full(n, np.nan)}
    return Rows(np.arange(2.0 * n).reshape(n, 2), values, np.arange(n), [f"J{i}" for i in range(n)])


def test_some_of_the_rows():
    taken = rows().take(np.array([False, True, False, True]))
    assert taken.names == ["J1", "J3"]
    np.testing.assert_array_equal(taken.features, [[2, 3], [6, 7]])
    np.testing.assert_array_equal(taken.columns(["theta_E"]), [[1.5], [3.5]])
    assert taken.columns([]).shape == (2, 0)


def test_parameters_in_order_and_apart():
    parameters = [
        Parameter("source_x", "arcsec", group="source"), Parameter("e1"), Parameter("theta_E", headline=True),
        Parameter("is_lens", classes=("no", "yes")), Parameter("stamp", group="source", identity=True),
    ]  # fmt: skip
    split = Split(rows(), rows(), parameters)
    assert [p.name for p in split.continuous] == ["theta_E", "e1", "source_x"]
    assert [p.name for p in split.classes] == ["is_lens"]


def test_two_units():
    one = Split(rows(), rows(), [Parameter("theta_E", "arcsec"), Parameter("e1")])
    check_units({"a": one, "b": one})
    other = Split(rows(), rows(), [Parameter("theta_E", "pixel")])
    with pytest.raises(LenskitError, match="theta_E is in arcsec for a, but in pixel for b"):
        check_units({"a": one, "b": other})
