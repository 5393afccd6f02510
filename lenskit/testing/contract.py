"""Base of all contracts: a component, its options, and faults with file and line."""

from __future__ import annotations

import inspect
import math
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, ClassVar
from unittest import SkipTest

import tomli_w
import torch

from lenskit.chosen import Chosen, choose
from lenskit.component import in_words
from lenskit.errors import LenskitError
from lenskit.found import Record
from lenskit.options import description, options_of, validate
from lenskit.registry import registry

LINE = 100
"""Largest number of characters of a summary in `lenskit list`."""


class Breach(AssertionError):
    """Breach of a contract, with the component, the fault, and the line to change."""


class Contract:
    """Tests of one component.

    A subclass sets `component`, and other attributes of its kind. Methods whose names begin with `test_` take no
    arguments. Each raises a `Breach` if the component breaks that rule, and `unittest.SkipTest` if the rule does not
    apply.
    """

    kind: ClassVar[str] = ""
    """Kind of the component, set by each contract."""

    component: ClassVar[str] = ""
    """Name of the component, as a user types it."""

    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Options of the component. Choose values that make it small and fast."""

    @property
    def record(self) -> Record:
        """Registered component.

        Raises:
            UsageError: No component has this name.
        """
        return registry().find(self.kind, self.component)

    def require(self, holds: Any, fault: str, at: object = None) -> None:
        """Raise a `Breach` unless a condition holds.

        Args:
            holds: The condition.
            fault: The fault and its remedy. It follows the name of the component: `has no options: add some`.
            at: Class or function to change. Its file and line are added to the message.
        """
        if not holds:
            raise Breach(f"{self.record.origin} {fault}{place_of(at)}")

    def test_the_summary_is_one_line(self) -> None:
        summary = self.record.component.summary
        self.require(summary.strip(), "has an empty summary: describe it in the hook")
        self.require(
            len(summary) <= LINE, f"has a summary of {len(summary)} characters: use at most {LINE}, in the hook"
        )


class ClassContract(Contract):
    """Tests of a component that is a class with options."""

    required: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Options without defaults, such as files that the component needs. They are part of every test."""

    @property
    def loaded(self) -> type:
        """Class of the tested component, imported if necessary."""
        return self.record.load()

    @property
    def chosen(self) -> Chosen:
        """Class with the validated options of the test."""
        return choose(self.kind, self.component, {**self.required, **self.options})

    def build(self, *given: Any) -> Any:
        """Construct the component with the options of the test.

        Args:
            given: Positional arguments of the constructor.
        """
        return self.chosen.build(*given)

    @contextmanager
    def rules_of_lenskit(self, at: str = "") -> Iterator[None]:
        """Add component and line to change to an error of lenskit's own checks.

        Args:
            at: Name of the method to change; by default the class.
        """
        try:
            yield
        except LenskitError as error:
            record = self.record
            told = str(error) if f"'{record.name}" in str(error) else f"{record.origin}: {error}"
            raise Breach(f"{told}{place_of(self.member(at))}") from error

    def member(self, name: str) -> Any:
        """Return a method of the class, or the class if it does not define the method.

        Methods that it inherits from lenskit do not count.
        """
        found = getattr(self.loaded, name, None) if name else None
        is_own = getattr(found, "__module__", "lenskit").partition(".")[0] != "lenskit"
        return found if is_own else self.loaded

    @contextmanager
    def on_a_gpu(self, remedy: str, at: str) -> Iterator[torch.device]:
        """Yield a GPU, or torch's device `meta`, which computes shapes only.

        Args:
            remedy: Remedy for tensors on different devices.
            at: Name of the method to change.

        Raises:
            Breach: The code in the context mixes tensors of different devices.
            SkipTest: The code reads values of tensors, and there is no GPU.
        """
        device = torch.device("cuda" if torch.cuda.is_available() else "meta")
        try:
            yield device
        except (NotImplementedError, RuntimeError) as error:
            message = " ".join(str(error).split())
            if device.type == "meta" and (isinstance(error, NotImplementedError) or "item()" in message):
                raise SkipTest("it reads values of tensors, which needs a GPU to test") from error
            raise Breach(
                f"{self.record.origin} cannot run on a GPU: {message[:200]}. {remedy}{place_of(self.member(at))}"
            ) from error

    def test_the_docstring_describes_it(self) -> None:
        text = description(self.loaded) if self.loaded.__doc__ else ""
        self.require(text and not text.startswith("Args:"), "has no docstring: add one", self.loaded)

    def test_options_have_a_meaning(self) -> None:
        for option in options_of(self.loaded):
            self.require(
                option.meaning,
                f"has the option {option.name!r} without a meaning: describe it under `Args:` of the class's docstring",
                self.loaded,
            )

    def test_options_have_a_type(self) -> None:
        for option in options_of(self.loaded):
            self.require(
                option.annotation is not Any,
                f"has the option {option.name!r} without a type: annotate it",
                getattr(self.loaded, "__init__", self.loaded),
            )

    def test_options_are_plain_values(self) -> None:
        """`run.toml` records every option, and later commands read it."""
        argument = self.record.component.argument
        behind = {argument: self.component.partition(":")[2]} if argument else {}
        given = {**self.required, **self.options, **behind}
        _, plain = validate(self.loaded, given, self.record.origin)
        try:
            again = tomllib.loads(tomli_w.dumps(plain))
        except TypeError as error:
            raise Breach(
                f"{self.record.origin} has an option that TOML cannot hold ({error}): use numbers, texts, lists or "
                f"tables{place_of(self.loaded)}"
            ) from error
        _, recorded = validate(self.loaded, again, self.record.origin)
        self.require(
            same(recorded, plain),
            f"reads its recorded options as other values: {recorded} instead of {plain}",
            self.loaded,
        )


def same(one: Any, other: Any) -> bool:
    """Whether two plain values are equal; NaN equals NaN."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


def place_of(thing: object) -> str:
    """Return the place of a class or function, such as ` (rings.py, line 12)`.

    The text is empty if the place is unknown.
    """
    thing = inspect.unwrap(thing) if callable(thing) else thing
    try:
        file = inspect.getsourcefile(thing)  # type: ignore[arg-type]
        _, line = inspect.getsourcelines(thing)  # type: ignore[arg-type]
    except (TypeError, OSError):
        return ""
    return f" ({Path(file).name if file else '?'}, line {line})"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield an empty folder that is removed afterwards."""
    with TemporaryDirectory(prefix="lenskit-contract-") as folder:
        yield Path(folder)


def title(contract: type[Contract]) -> str:
    """Return the kind and name of a contract's component, such as `simulator 'rings'`."""
    return f"{in_words(contract.kind)} {contract.component!r}"
