"""Options from signatures and docstrings."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
import tomli_w
from annotated_types import Ge, Gt, Interval, Le
from hypothesis import given
from hypothesis import strategies as st

from lenskit.distributions import Constant, Distribution, Uniform
from lenskit.errors import LenskitError, UsageError
from lenskit.options import at_most, description, options_of, validate

if TYPE_CHECKING:
    from decimal import Decimal

Width = Annotated[int, Gt(0)]


class Base:
    """Base class of the others.

    Args:
        backbone: Given by the core, no option.
        lr: Learning rate
            of the optimiser.
        weights: Where to start from.
    """

    def __init__(self, backbone: object, *, lr: Annotated[float, Gt(0)] = 0.1, weights: str | None = None) -> None:
        self.backbone, self.lr, self.weights = backbone, lr, weights


class Heir(Base):
    """Subclass that passes unknown options on.

    It has more to say than one line.

    Args:
        width: Width of the heir's layer.
        theta_E: Einstein radius in arcsec.
    """

    def __init__(
        self,
        backbone: object,
        *,
        width: Width = 16,
        theta_E: Distribution = "uniform(0.5, 2.5)",  # type: ignore[assignment]
        renderer: Literal["torch", "lenstronomy"] = "torch",
        fraction: Annotated[float, Ge(0), Le(1)] = 0.5,
        devices: int | str = "auto",
        columns: list[str] = [],  # noqa: B006
        flag: bool = False,
        folder: Path = Path("."),
        lr: Annotated[float, Gt(0)] = 0.2,
        **options: Any,
    ) -> None:
        super().__init__(backbone, lr=lr, **options)
        self.width, self.theta_E = width, theta_E


class Closed(Base):
    """Passes nothing on."""

    def __init__(self, backbone: object, *, depth: int) -> None:
        """Args:
        depth: Number of layers.
        """
        super().__init__(backbone)


class Untouched(Heir):
    """Subclass without a constructor."""


def option(name: str, of: type = Heir):
    return {o.name: o for o in options_of(of)}[name]


def test_keyword_only_arguments_are_the_options_own_first_then_inherited_ones() -> None:
    own = ["width", "theta_E", "renderer", "fraction", "devices", "columns", "flag", "folder", "lr"]
    assert [o.name for o in options_of(Heir)] == [*own, "weights"]
    assert options_of(Untouched) == options_of(Heir)
    assert [o.name for o in options_of(Closed)] == ["depth"]
    assert options_of(object) == ()


def test_the_own_default_counts_and_the_ancestors_meaning_where_there_is_no_own() -> None:
    assert (option("lr").default, option("lr", Base).default) == (0.2, 0.1)
    assert option("lr").meaning == "Learning rate of the optimiser."
    assert option("weights").meaning == "Where to start from."
    assert option("width").meaning == "Width of the heir's layer."
    assert option("depth", Closed).meaning == "Number of layers."
    assert option("flag").meaning == ""


def test_a_description_is_the_docstring_without_its_arguments() -> None:
    assert description(Heir) == "Subclass that passes unknown options on.\n\nIt has more to say than one line."
    assert description(Closed) == "Passes nothing on."


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        ("width", "int > 0"),
        ("theta_E", "a distribution"),
        ("renderer", "'torch' or 'lenstronomy'"),
        ("fraction", "float >= 0 and <= 1"),
        ("devices", "int or str"),
        ("columns", "list[str]"),
        ("flag", "bool"),
        ("weights", "str or nothing"),
    ],
)
def test_what_an_option_takes_in_words(name: str, takes: str) -> None:
    assert option(name).takes == takes


def test_an_interval_in_words() -> None:
    class Some:
        def __init__(self, *, x: Annotated[float, Interval(gt=0, le=2)] | None = None) -> None:
            pass

    assert option("x", Some).takes == "float > 0 and <= 2 or nothing"


def test_a_limit_within_a_list_in_words() -> None:
    class Some:
        def __init__(self, *, x: tuple[Annotated[float, Interval(gt=0), at_most(9)], ...] = ()) -> None:
            pass

    assert option("x", Some).takes == "tuple[float > 0, ...]"


def test_defaults_are_filled_in_and_text_becomes_what_it_stands_for() -> None:
    arguments, plain = validate(Heir, {"theta_E": 1.5, "folder": "a/b", "fraction": 1}, "heir")
    assert arguments["theta_E"] == Constant(1.5)
    assert arguments["folder"] == Path("a/b")
    assert (arguments["fraction"], type(arguments["fraction"])) == (1.0, float)
    assert arguments["weights"] is None
    assert plain["theta_E"] == "1.5"
    assert "weights" not in plain
    assert validate(Heir, {}, "heir")[0]["theta_E"] == Uniform(0.5, 2.5)
    built = Heir("backbone", **arguments)
    assert (built.lr, built.backbone) == (0.2, "backbone")


@pytest.mark.slow
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "width": st.integers(1, 2**60),
            "fraction": st.floats(0, 1),
            "devices": st.integers(0, 9) | st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])),
            "columns": st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]))),
            "flag": st.booleans(),
            "lr": st.floats(0, exclude_min=True, width=32, allow_infinity=False),
            "renderer": st.sampled_from(["torch", "lenstronomy"]),
        },
    )
)
def test_plain_values_come_back_from_toml_as_they_were(values: dict[str, Any]) -> None:
    arguments, plain = validate(Heir, values, "heir")
    assert arguments | values == arguments
    read = tomllib.loads(tomli_w.dumps(plain))
    assert read == plain
    assert validate(Heir, read, "heir") == (arguments, plain)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widht": 3}, "heir has no option 'widht': did you mean width"),
        ({"backbone": 3}, "heir has no option 'backbone': it has width, theta_E, renderer, "),
        ({"width": 0}, "heir: option width takes int > 0, got 0 (Input should be greater than 0)"),
        ({"width": 1.5}, "heir: option width takes int > 0, got 1.5 ("),
        ({"width": "wide"}, "heir: option width takes int > 0, got 'wide' ("),
        ({"width": True}, "heir: option width takes int > 0, got True"),
        ({"fraction": False}, "heir: option fraction takes float >= 0 and <= 1, got False"),
        ({"fraction": 1.01}, "got 1.01 (Input should be less than or equal to 1)"),
        ({"fraction": float("nan")}, "heir: option fraction takes float >= 0 and <= 1, got nan"),
        ({"devices": True}, "heir: option devices takes int or str, got True"),
        ({"renderer": "torhc"}, "heir: option renderer takes 'torch' or 'lenstronomy', got 'torhc' ("),
        ({"flag": 3}, "heir: option flag takes bool, got 3 ("),
        ({"columns": "a"}, "heir: option columns takes list[str], got 'a' ("),
        ({"weights": 3}, "heir: option weights takes str or nothing, got 3 ("),
        (
            {"theta_E": "uniform(3, 1)"},
            "heir: option theta_E takes a distribution, got 'uniform(3, 1)' "
            "(uniform(3, 1) has low > high: write uniform(1, 3))",
        ),
        ({"theta_E": True}, "heir: option theta_E takes a distribution, got True ("),
    ],
)
def test_what_is_wrong_is_said_in_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        validate(Heir, values, "heir")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_true_and_false_are_taken_where_they_are_asked_for() -> None:
    for value in (True, "true", "yes", "on"):
        assert validate(Heir, {"flag": value}, "heir")[0]["flag"] is True


def test_a_missing_option_is_explained() -> None:
    assert option("depth", Closed).required
    with pytest.raises(UsageError, match=r"^closed needs option depth \(int\): Number of layers\.$"):
        validate(Closed, {}, "closed")
    assert validate(Closed, {"depth": 3}, "closed")[0] == {"depth": 3}


def test_a_class_without_options_says_so() -> None:
    with pytest.raises(UsageError, match=r"^nothing has no option 'x': it has none$"):
        validate(object, {"x": 1}, "nothing")


def test_a_wrong_default_is_found_too() -> None:
    class Wrong:
        def __init__(self, *, width: Width = 0) -> None:
            pass

    with pytest.raises(UsageError, match="option width takes int > 0, got 0"):
        validate(Wrong, {}, "wrong")


@pytest.mark.filterwarnings("error")
def test_options_may_be_called_as_methods_of_pydantic_are() -> None:
    class Some:
        def __init__(self, *, copy: bool = True, schema: str = "", model: str = "vit", json: int = 1) -> None:
            pass

    plain = {"copy": False, "schema": "a", "model": "b", "json": 2}
    assert validate(Some, plain, "some") == (plain, plain)


def test_an_annotation_that_is_not_there_at_run_time() -> None:
    class Late:
        def __init__(self, *, x: Decimal | None = None) -> None:
            pass

    with pytest.raises(LenskitError, match=r"the options of .*Late cannot be read: name 'Decimal' is not defined"):
        options_of(Late)
