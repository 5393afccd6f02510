"""Origins of components, and their faults in one line."""

from __future__ import annotations

import pytest

from lenskit.origin import origin_of, told
from lenskit.registry import registry


class Toy:
    """A component that no registry loaded."""

    def fail(self, error: BaseException) -> None:
        raise error


def test_a_loaded_component_is_named_with_its_distribution() -> None:
    cls = registry().find("method", "simsiam").load()
    assert origin_of(cls).startswith("method 'simsiam' of lenskit-ssl ")


def test_another_is_named_by_its_class() -> None:
    assert origin_of(Toy()) == f"{__name__}.Toy"


def test_an_error_is_told_with_its_place() -> None:
    with pytest.raises(KeyError) as caught:
        Toy().fail(KeyError("a b"))
    line = Toy.fail.__code__.co_firstlineno + 1
    assert told(caught.value, __name__) == f"KeyError: 'a b' ({__name__}, line {line})"
    assert told(caught.value, "another.module") == "KeyError: 'a b'"
