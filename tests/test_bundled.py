"""Every bundled component meets the contract of its kind.

Methods are tested in tests/test_methods.py, and readers in the tests of lenskit_datasets, because they need data.
"""

from __future__ import annotations

from typing import Any
from unittest import SkipTest

import pytest

from lenskit.registry import registry
from lenskit.testing import Contract, PluginContract
from lenskit.testing.check import CONTRACTS

SMALL: dict[tuple[str, str], dict[str, Any]] = {
    ("simulator", "hst"): {"pixels": 32},
    ("simulator", "deeplense-1"): {"pixels": 32},
    ("simulator", "deeplense-2"): {"pixels": 32},
    ("simulator", "deeplense-3"): {"pixels": 32},
    ("simulator", "deeplense-a"): {"pixels": 32},
    ("simulator", "deeplense-b"): {"pixels": 32},
    ("simulator", "substructure"): {"pixels": 32},
}
"""Options that make a component fast."""

MODELS = {"timm": "timm:test_resnet"}
"""Full names of components that stand for many."""

LEFT_OUT = {
    ("backbone", "resnet34"): "it differs from resnet18 in its depth only",
    ("backbone", "resnet101"): "it differs from resnet50 in its depth only",
    ("backbone", "resnet152"): "it differs from resnet50 in its depth only",
    ("simulator", "injection"): "it needs images of galaxies",
    ("encoder", "efficientnet-lite0"): "its weights are a package",
    ("encoder", "timm"): "its weights are downloaded",
}
"""Components that need other files; their own tests cover them."""

KINDS = ("simulator", "pairs", "backbone", "encoder", "instrument", "format")


def cases() -> list[Any]:
    """Return each component of these kinds with each test of its contract."""
    found = []
    for kind in KINDS:
        contract = CONTRACTS[kind]
        for record in registry().of_kind(kind):
            if not record.is_bundled or (kind, record.name) in LEFT_OUT:
                continue
            name = MODELS.get(record.name, record.name)
            members = {"component": name, "options": SMALL.get((kind, record.name), {})}
            subject: Contract = type("Bundled", (contract,), members)()
            slow = [pytest.mark.slow] if kind in ("backbone", "format", "encoder") else []
            for test in sorted(test for test in dir(contract) if test.startswith("test_")):
                found.append(pytest.param(subject, test, id=f"{kind}-{record.name}-{test}", marks=slow))
    return found


@pytest.mark.parametrize(("subject", "test"), cases())
def test_a_bundled_component_meets_its_contract(subject: Contract, test: str) -> None:
    try:
        getattr(subject, test)()
    except SkipTest:
        return  # the rule does not apply to this component


class TestDistribution(PluginContract):
    distribution = "lenskit-ssl"
