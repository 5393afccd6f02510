"""Random numbers of an address: generator, distribution, and independence.

Statistical thresholds are 5 standard deviations for one statistic and 5.5 for the largest of thousands, or a p-value of
1e-5; the seeds are fixed, so a test that passes once passes always.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

from lenskit.distributions import Distribution
from lenskit.generator import KeyedGenerator, philox

UNIT = Distribution.parse("uniform(0, 1)")
PRIORS = {
    text.partition("(")[0]: Distribution.parse(text)
    for text in ("uniform(0.8, 1.8)", "loguniform(0.1, 10)", "normal(1, 2)", "lognormal(0, 1)", "choice(1, 2, 5)")
}


def generator(index: Tensor, view: Tensor | None = None, **others: object) -> KeyedGenerator:
    named: dict = {"seed": 7, "split": "train", "group": "lens", "dtype": torch.float64} | others
    return KeyedGenerator(index=index, view=torch.zeros_like(index) if view is None else view, **named)


def exact_philox(counter: Sequence[int], key: Sequence[int]) -> list[int]:
    """Salmon et al. 2011, section 4.4, in Python's integers, which do not wrap."""
    (a, b, c, d), (k0, k1) = counter, key
    for _ in range(10):
        high0, low0 = divmod(a * 0xD2511F53, 2**32)
        high1, low1 = divmod(c * 0xCD9E8D57, 2**32)
        a, b, c, d = high1 ^ b ^ k0, low1, high0 ^ d ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return [a, b, c, d]


def lowbias32(x: int) -> int:
    """Hash of https://github.com/skeeto/hash-prospector."""
    x = (x ^ x >> 16) * 0x7FEB352D % 2**32
    x = (x ^ x >> 15) * 0x846CA68B % 2**32
    return x ^ x >> 16


def words(*values: int) -> list[Tensor]:
    return [torch.tensor(value) for value in values]


# Random123's known answers (kat_vectors of https://github.com/DEShawResearch/random123, philox4x32 with 10 rounds)
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox_gives_the_known_answers(counter: tuple, key: tuple, answer: tuple) -> None:
    assert tuple(int(word) for word in philox(words(*counter), words(*key))) == answer


@given(st.lists(st.integers(0, 2**32 - 1), min_size=6, max_size=6))
@settings(deadline=None, max_examples=50)
def test_philox_is_that_of_the_paper_in_exact_integers(given_words: list[int]) -> None:
    (a, b, c, d), (k0, k1) = given_words[:4], given_words[4:]
    answer = philox(words(a, b, c, d), words(k0, k1))
    assert [int(word) for word in answer] == exact_philox([a, b, c, d], (k0, k1))


def test_an_address_has_these_numbers() -> None:
    """Numbers are the same in every version, so a configuration defines its lenses."""
    index, view = 2**32 + 5, 3
    key = struct.unpack("<2I", hashlib.blake2b(b"7\0train\0lens\0x", digest_size=8).digest())
    address = (index % 2**32, index // 2**32, view)
    rng = generator(torch.tensor([index]), torch.tensor([view]))

    high0, low0, high1, low1 = exact_philox((*address, 1), key)  # the second block of two
    u = [(2**20 * high + low // 2**12 + 0.5) / 2**52 for high, low in ((high0, low0), (high1, low1))]
    assert rng.uniform("x", 4)[0, 2:].tolist() == u
    assert rng.normal("x", 4)[0, 2:].numpy() == pytest.approx(stats.norm.ppf(u), rel=1e-12)

    k0, k1, k2 = ((word + 2**31) % 2**32 for word in exact_philox((*address, 0), key)[:3])
    expected = np.zeros(10)
    for pixel in range(5):
        state = lowbias32((pixel * 0x9E3779B9) % 2**32 ^ k0)
        r = math.sqrt(-2 * math.log(((lowbias32(state ^ k1) >> 8) + 1) / 2**24))
        phi = 2 * math.pi * lowbias32((state + k2) % 2**32) / 2**32
        expected[[pixel, pixel + 5]] = r * math.cos(phi), r * math.sin(phi)
    np.testing.assert_allclose(rng.noise("x", 2, 5).flatten(), expected, rtol=1e-5, atol=1e-6)


# --- Distributions ---


@pytest.mark.slow
@pytest.mark.parametrize("along", ["addresses", "one address"])
def test_uniform_is_uniform(along: str) -> None:
    index = torch.arange(200_000 if along == "addresses" else 1)
    u = generator(index).uniform("u", 1 if along == "addresses" else 200_000).flatten().numpy()
    assert stats.kstest(u, "uniform").pvalue > 1e-5
    assert stats.chisquare(np.bincount((u * 256).astype(int), minlength=256)).pvalue > 1e-5
    assert 0 < u.min() < u.max() < 1
    # each of the 52 bits is set half of the time, and none follows its neighbour
    bits = (u * 2.0**52).astype(np.int64)[:, None] >> np.arange(52) & 1
    assert np.abs(bits.mean(0) - 0.5).max() * 2 * len(u) ** 0.5 < 5
    assert np.abs((bits[:, 1:] ^ bits[:, :-1]).mean(0) - 0.5).max() * 2 * len(u) ** 0.5 < 5


@pytest.mark.slow
@pytest.mark.parametrize("method", ["normal", "noise"])
def test_normal_numbers_are_normal(method: str) -> None:
    x = getattr(generator(torch.arange(400)), method)("x", 50, 50).flatten().numpy()
    n = len(x)
    assert stats.kstest(x[::4], "norm").pvalue > 1e-5
    # the first four moments, and the sixth, in units of their standard errors
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        assert abs((x**power).mean() - mean) < 5 * (variance / n) ** 0.5, power
    for sigma in (2, 3, 4):
        for beyond in (x > sigma, x < -sigma):
            expected = n * stats.norm.sf(sigma)
            assert abs(beyond.sum() - expected) < 5 * expected**0.5, sigma


@pytest.mark.slow
def test_noise_reaches_as_far_as_24_bits_allow() -> None:
    """All of 32 million numbers are finite, and the largest is over 5 sigma.

    The radius of Box-Muller from 24 bits is at most sqrt(2 * 24 * ln 2).
    """
    largest = max(float(generator(torch.arange(i, i + 400)).noise("x", 200, 200).abs().max()) for i in (0, 400))
    assert 5 < largest <= (2 * 24 * np.log(2)) ** 0.5


def test_pairs_of_noise_are_independent() -> None:
    """Box-Muller makes both halves of an image from one radius and one angle."""
    x, y = generator(torch.arange(100)).noise("x", 2, 2500).unbind(1)
    assert stats.kstest(((x**2 + y**2) / 2).flatten().numpy(), "expon").pvalue > 1e-5
    angle = torch.atan2(y, x).flatten().numpy()
    assert stats.kstest(angle, "uniform", args=(-np.pi, 2 * np.pi)).pvalue > 1e-5


def test_integers_are_uniform() -> None:
    drawn = generator(torch.arange(50_000)).integers("i", 23)
    assert stats.chisquare(torch.bincount(drawn, minlength=23).numpy()).pvalue > 1e-5
    assert (int(drawn.min()), int(drawn.max())) == (0, 22)


# --- Independence ---


def squares(x: Tensor) -> Tensor:
    """Deviations of the squares, scaled to unit variance."""
    return (x**2 - 1) / 2**0.5


@pytest.mark.parametrize("transform", [lambda x: x, squares], ids=["values", "squares"])
def test_pixels_of_noise_do_not_follow_each_other(transform) -> None:
    """Autocorrelation of 64 x 64 pixels at every lag, over 512 addresses."""
    x = transform(generator(torch.arange(512)).noise("x", 64, 64))
    power = torch.fft.fft2(x).abs().square().mean(0)
    correlation = torch.fft.ifft2(power).real / 64**2 * (512 * 64**2) ** 0.5
    correlation[0, 0] = 0
    assert correlation.abs().max() < 5.5
    assert abs(correlation.flatten()[1:].square().mean() - 1) < 0.1


@pytest.mark.parametrize("transform", [lambda x: x, squares], ids=["values", "squares"])
def test_noise_of_different_addresses_is_uncorrelated(transform) -> None:
    """All pairs of 256 addresses, and neighbouring addresses at all shifts."""
    x = transform(generator(torch.arange(256)).noise("x", 48, 48)).flatten(1)
    correlation = x @ x.T / x.shape[1] ** 0.5
    correlation.fill_diagonal_(0)
    assert correlation.abs().max() < 5.5
    spectrum = torch.fft.fft(x)
    shifted = torch.fft.ifft(spectrum[1:] * spectrum[:-1].conj()).real / x.shape[1] ** 0.5
    assert shifted.mean(0).abs().max() * len(shifted) ** 0.5 < 5.5


OTHERS = {
    "view": {"view": torch.ones(500, dtype=torch.int64)},
    "next address": {"index": torch.arange(1, 501)},
    "address beyond 32 bits": {"index": torch.arange(500) + 2**32},
    "group": {"group": "source"},
    "split": {"split": "test"},
    "seed": {"seed": 8},
    "seed beyond 64 bits": {"seed": 7 + 2**64},
    "negative seed": {"seed": -7},
}


@pytest.mark.parametrize("method", ["normal", "noise"])
@pytest.mark.parametrize("other", OTHERS)
def test_other_streams_are_independent(other: str, method: str) -> None:
    index = torch.arange(500)
    x = getattr(generator(index), method)("x", 40, 40)
    y = getattr(generator(**{"index": index} | OTHERS[other]), method)("x", 40, 40)
    n = x.numel()
    for f, g in ((x, y), (squares(x), squares(y)), (x, squares(y))):
        assert abs(float((f * g).mean())) * n**0.5 < 5


@pytest.mark.parametrize("method", ["normal", "noise"])
def test_other_names_are_independent(method: str) -> None:
    draw = getattr(generator(torch.arange(500)), method)
    x, y = draw("x", 40, 40), draw("y", 40, 40)
    assert abs(float((x * y).mean())) * x.numel() ** 0.5 < 5


part = st.text("a/\x01", min_size=1, max_size=3)


@given(st.tuples(st.integers(), part, part, part), st.tuples(st.integers(), part, part, part))
@settings(deadline=None, max_examples=50)
def test_no_two_streams_share_a_key(one: tuple, other: tuple) -> None:
    """Not even `a/b` of `c` and `b` of `c/a`."""
    assume(one != other)
    index = torch.arange(2)
    drawn = [
        generator(index, seed=seed, split=split, group=group).uniform(name) for seed, split, group, name in (one, other)
    ]
    assert (drawn[0] != drawn[1]).all()


# --- A function of the address alone ---

addresses = st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 3)), min_size=1, max_size=40)


@pytest.mark.slow
@given(addresses, st.data(), st.sampled_from([torch.float32, torch.float64]))
@settings(deadline=None, max_examples=40)
def test_draws_do_not_depend_on_the_batch(all_: list, data: st.DataObject, dtype: torch.dtype) -> None:
    """Bit-identical in any subset and order, for batches of any size."""
    chosen = data.draw(st.lists(st.integers(0, len(all_) - 1), min_size=1, max_size=len(all_)))
    index, view = torch.tensor(all_).unbind(1)
    whole, some = generator(index, view, dtype=dtype), generator(index[chosen], view[chosen], dtype=dtype)
    for name, prior in PRIORS.items():
        assert torch.equal(some.sample(name, prior, 3), whole.sample(name, prior, 3)[chosen])
    for name, values in whole.samples(PRIORS).items():
        assert torch.equal(some.samples(PRIORS)[name], values[chosen])
    for method, arguments in (("uniform", (5,)), ("normal", (5,)), ("integers", (9, 5)), ("noise", (7, 9))):
        assert torch.equal(getattr(some, method)("x", *arguments), getattr(whole, method)("x", *arguments)[chosen])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_are_those_drawn_one_by_one(dtype: torch.dtype) -> None:
    rng = generator(torch.arange(300), dtype=dtype)
    together = rng.samples(PRIORS)
    assert list(together) == list(PRIORS)
    for name, prior in PRIORS.items():
        assert torch.equal(together[name], rng.sample(name, prior))
        assert together[name].dtype == dtype
    assert rng.samples({}) == {}


@given(st.integers(1, 7), st.integers(1, 7))
@settings(deadline=None, max_examples=20)
def test_more_numbers_begin_with_fewer(few: int, more: int) -> None:
    """An option that lengthens a draw does not change its beginning."""
    rng = generator(torch.arange(5))
    assert torch.equal(rng.uniform("u", few + more)[:, :few], rng.uniform("u", few))


@pytest.mark.parametrize("shape", [(), (1,), (3,), (3, 5), (2, 3, 4)])
def test_shapes(shape: tuple[int, ...]) -> None:
    rng = generator(torch.arange(4))
    drawn = [rng.uniform("u", *shape), rng.normal("x", *shape), rng.noise("x", *shape), rng.integers("i", 2, *shape)]
    assert all(x.shape == (4, *shape) for x in drawn)


@pytest.mark.slow
@given(
    values=st.lists(st.one_of(st.none(), st.floats(-9, 9)), min_size=1, max_size=5),
    how=st.sampled_from(["sample", "samples", "uniform", "normal", "several"]),
)
@settings(deadline=None, max_examples=40)
def test_what_is_given_stands_in_for_a_draw_and_changes_no_other(values: list[float | None], how: str) -> None:
    index = torch.arange(len(values))
    stated = torch.tensor([np.nan if value is None else value for value in values], dtype=torch.float64)

    def draw(given: dict[str, Tensor] | None) -> dict[str, Tensor]:
        rng = KeyedGenerator(3, "a", "g", index, torch.zeros_like(index), torch.float64, given=given)
        ways = {
            "sample": lambda name: rng.sample(name, UNIT),
            "samples": lambda name: rng.samples({name: UNIT, "y": UNIT})[name],
            "uniform": lambda name: rng.uniform(name).reshape(-1),
            "normal": lambda name: rng.normal(name).reshape(-1),
            "several": lambda name: rng.sample(name, UNIT, 4),
        }
        return {name: ways[how](name) for name in ("x", "z")} | {"noise": rng.noise("x", 5)}

    free, made = draw(None), draw({"x": stated})
    assert all(torch.equal(made[name], free[name]) for name in ("z", "noise"))
    for row, value in enumerate(values):
        expected = free["x"][row] if value is None else torch.full_like(free["x"][row], value)
        assert torch.equal(made["x"][row], expected)


def test_some_of_the_addresses_draw_as_all_do() -> None:
    index, given_x = torch.arange(6), torch.tensor([1, np.nan, 2, np.nan, 3, np.nan], dtype=torch.float64)
    rng = KeyedGenerator(3, "a", "g", index, index + 1, rendering=index + 2, given={"x": given_x})
    rows = torch.tensor([4, 1])
    some = rng.of(rows)
    assert torch.equal(some.sample("x", UNIT), rng.sample("x", UNIT)[rows])
    assert torch.equal(some.normal("y", 3), rng.normal("y", 3)[rows])
    assert torch.equal(some.noise("n", 4), rng.noise("n", 4)[rows])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_draws_do_not_depend_on_the_device() -> None:
    """Integers and uniforms are equal to the last bit, logarithms to rounding."""
    index = torch.arange(1000)
    here, there = generator(index), generator(index.cuda())
    assert torch.equal(here.uniform("u", 5), there.uniform("u", 5).cpu())
    assert torch.equal(here.integers("i", 23, 5), there.integers("i", 23, 5).cpu())
    for name, values in here.samples(PRIORS).items():
        torch.testing.assert_close(there.samples(PRIORS)[name].cpu(), values, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(there.normal("x", 5).cpu(), here.normal("x", 5), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(there.noise("x", 9).cpu(), here.noise("x", 9), rtol=1e-5, atol=2e-6)
