"""Priors: their text, their quantiles compared with scipy, and faults."""

from __future__ import annotations

import math
import tomllib

import pytest
import scipy.stats
import tomli_w
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from lenskit.distributions import Choice, Constant, Distribution, LogNormal, LogUniform, Normal, Uniform

NUMBERS = st.floats(-1e100, 1e100)
POSITIVE = st.floats(1e-300, 1e300)
SPREADS = st.floats(0, 1e100)


def ordered(numbers: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[float, float]]:
    return st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair)))


DISTRIBUTIONS = st.one_of(
    ordered(NUMBERS).map(lambda pair: Uniform(*pair)),
    ordered(POSITIVE).map(lambda pair: LogUniform(*pair)),
    st.builds(Normal, NUMBERS, SPREADS),
    st.builds(LogNormal, st.floats(-600, 600), st.floats(0, 10)),
    st.lists(NUMBERS, min_size=1).map(lambda values: Choice(tuple(values))),
    st.builds(Constant, NUMBERS),
)


@given(DISTRIBUTIONS)
def test_reads_what_it_writes(distribution: Distribution) -> None:
    assert Distribution.parse(str(distribution)) == distribution


@given(DISTRIBUTIONS)
def test_is_an_option_that_toml_holds(distribution: Distribution) -> None:
    option = TypeAdapter(Distribution)
    plain = option.dump_python(distribution, mode="json")
    (back,) = tomllib.loads(tomli_w.dumps({"x": plain})).values()
    assert option.validate_python(back) == distribution


@given(DISTRIBUTIONS, st.lists(st.floats(0, 1, exclude_min=True, exclude_max=True), min_size=2))
def test_quantiles_stay_within_the_bounds(distribution: Distribution, u: list[float]) -> None:
    values = distribution.quantile(torch.tensor(u, dtype=torch.float64))
    low, high = distribution.bounds
    assert values.dtype == torch.float64
    rounding = 1e-12 * max((abs(bound) for bound in (low, high) if math.isfinite(bound)), default=0)
    assert bool((values >= low - rounding).all() and (values <= high + rounding).all())
    assert torch.tensor([low, high]).isnan().sum() == 0


@given(
    DISTRIBUTIONS.filter(lambda d: not isinstance(d, Choice)),
    st.lists(st.floats(0, 1, exclude_min=True, exclude_max=True), min_size=2),
)
def test_quantiles_rise(distribution: Distribution, u: list[float]) -> None:
    values = distribution.quantile(torch.tensor(sorted(u), dtype=torch.float64))
    assert bool((values[1:] >= values[:-1]).all())


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("uniform(0.5, 2.5)", scipy.stats.uniform(0.5, 2)),
        ("uniform(-3, -1)", scipy.stats.uniform(-3, 2)),
        ("loguniform(0.01, 10)", scipy.stats.loguniform(0.01, 10)),
        ("normal(2, 0.3)", scipy.stats.norm(2, 0.3)),
        ("lognormal(-1, 0.5)", scipy.stats.lognorm(0.5, scale=math.exp(-1))),
    ],
)
def test_quantiles_are_scipys(text: str, reference: scipy.stats.rv_continuous) -> None:
    u = torch.tensor([1e-12, 1e-3, 0.1, 0.25, 0.5, 0.9, 0.999, 1 - 1e-12], dtype=torch.float64)
    expected = torch.from_numpy(reference.ppf(u.numpy()))
    torch.testing.assert_close(Distribution.parse(text).quantile(u), expected, rtol=1e-12, atol=1e-14)


def test_a_choice_gives_each_value_the_same_share() -> None:
    u = (torch.arange(3000, dtype=torch.float64) + 0.5) / 3000
    values = Distribution.parse("choice(3, 1, 2.5)").quantile(u)
    assert values.unique(return_counts=True)[1].tolist() == [1000, 1000, 1000]
    assert values[[0, 1500, 2999]].tolist() == [3, 1, 2.5]


def test_a_number_is_a_constant() -> None:
    u = torch.rand(4, 2, dtype=torch.float64)
    for given_as in (1.2, "1.2", " 1.2 ", "constant(1.2)", Constant(1.2)):
        distribution = Distribution.parse(given_as)
        assert distribution == Constant(1.2)
        assert torch.equal(distribution.quantile(u), torch.full_like(u, 1.2))
    assert str(Constant(1.2)) == "1.2"
    assert str(Uniform(0, 2.5)) == "uniform(0, 2.5)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("uniform(2.5, 0.5)", "uniform(2.5, 0.5) has low > high: write uniform(0.5, 2.5)"),
        ("loguniform(3, 1)", "loguniform(3, 1) has low > high: write loguniform(1, 3)"),
        ("loguniform(0, 1)", "loguniform(0, 1) needs finite bounds above 0"),
        ("uniform(nan, 1)", "uniform(nan, 1) needs finite bounds"),
        ("uniform(0, inf)", "uniform(0, inf) needs finite bounds"),
        ("normal(0, -1)", "normal(0, -1) needs a finite mean and a std >= 0"),
        ("lognormal(inf, 1)", "lognormal(inf, 1) needs a finite mu and a sigma >= 0"),
        ("choice(1, inf)", "choice needs finite values"),
        ("inf", "a constant has to be finite"),
        ("normal(1)", "normal takes (mean, std), got 'normal(1)'"),
        ("uniform(0, 1, 2)", "uniform takes (low, high)"),
        ("uniform(a, b)", "the arguments of 'uniform(a, b)' are not all numbers"),
        ("choice()", "the arguments of 'choice()' are not all numbers"),
        ("gauss(0, 1)", "unknown distribution 'gauss'; write uniform(low, high)"),
        ("uniform(0, 1", "'uniform(0, 1' is no distribution"),
        ("", "'' is no distribution"),
        (True, "True is no distribution"),
        ([0, 1], "[0, 1] is no distribution"),
        (None, "None is no distribution"),
    ],
)
def test_says_what_is_wrong(text: object, message: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared
        Distribution.parse(text)  # type: ignore[arg-type]
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("mean", [0.1, 2.5, 25.0, 3000.0])
def test_poisson_is_scipys(mean: float) -> None:
    u = (torch.arange(5000, dtype=torch.float64) + 0.5) / 5000
    expected = scipy.stats.poisson.ppf(u.numpy(), mean)
    assert Distribution.parse(f"poisson({mean})").quantile(u).tolist() == expected.tolist()


@pytest.mark.parametrize("mean", ["0", "-1", "1e5", "nan"])
def test_a_poisson_mean_is_above_zero(mean: str) -> None:
    with pytest.raises(ValueError, match="needs a mean above 0 and up to 10000"):
        Distribution.parse(f"poisson({mean})")
