"""Origins of components, and their faults in one line."""

from __future__ import annotations

import pytest

from lenskit.errors import LenskitError, UsageError
from lenskit.origin import faults_of, origin_of
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


def test_a_fault_is_one_line_with_component_and_place() -> None:
    with pytest.raises(LenskitError, match=r"Toy failed: KeyError: 'a b' \(.*test_origin, line 16\)$"), faults_of(Toy):
        Toy().fail(KeyError("a b"))


@pytest.mark.parametrize(
    "error", [UsageError("mine"), FileNotFoundError("gone"), MemoryError(), RuntimeError("CUDA out of memory. Tried")]
)
def test_errors_that_the_user_can_mend_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, faults_of(Toy):
        Toy().fail(error)
    assert caught.value is error


def test_strict_passes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENSKIT_STRICT", "1")
    with pytest.raises(KeyError), faults_of(Toy):
        Toy().fail(KeyError("a"))
