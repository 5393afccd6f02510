"""Check of an installed plugin: its contracts at tiny sizes, without pytest."""

from __future__ import annotations

import json
import logging
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest import SkipTest
from urllib.parse import unquote, urlparse

from lenskit.captured import captured
from lenskit.component import FILES
from lenskit.errors import LenskitError, UsageError
from lenskit.found import Record
from lenskit.naming import is_same_distribution
from lenskit.options import options_of, validate
from lenskit.origin import told
from lenskit.registry import registry
from lenskit.scaffold.new import CHANGES
from lenskit.testing.backbone import BackboneContract
from lenskit.testing.command import CommandContract
from lenskit.testing.contract import Breach, Contract
from lenskit.testing.dataset import DatasetContract
from lenskit.testing.encoder import EncoderContract
from lenskit.testing.evaluation import EvaluationContract
from lenskit.testing.format import FormatContract
from lenskit.testing.instrument import InstrumentContract
from lenskit.testing.method import MethodContract
from lenskit.testing.pairs import PairsContract
from lenskit.testing.plugin import PluginContract
from lenskit.testing.recipe import RecipeContract
from lenskit.testing.simulator import SimulatorContract

CONTRACTS: dict[str, type[Contract]] = {
    contract.kind: contract
    for contract in (
        SimulatorContract, DatasetContract, PairsContract, MethodContract, BackboneContract, EncoderContract,
        EvaluationContract, CommandContract, FormatContract, InstrumentContract, RecipeContract,
    )
}  # fmt: skip
"""Contract of each kind."""

SMALL = {"pixels": 32, "lenses": 32, "test_lenses": 16}
"""Options that make a component small, if it has them."""

SMALL_WIDTHS = {"_dim": 16, "_depth": 1, "queue": 32, "width": 8}
"""Small values of options of networks, by the ends of their names."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of one test.

    Attributes:
        subject: Component or plugin, such as `simulator 'rings'`.
        test: Name of the test in words.
        fault: Fault with its remedy; empty if the test passed or was skipped.
        skipped: Reason for skipping the test; empty otherwise.
        seconds: Duration.
    """

    subject: str
    test: str
    fault: str = ""
    skipped: str = ""
    seconds: float = 0.0


def find_distribution(text: str) -> str:
    """Return the name of an installed distribution with plugins.

    Args:
        text: Name of the distribution, of its entry point, or of one of its modules.

    Raises:
        UsageError: No installed plugin has that name.
    """
    plugins = registry().plugins
    for plugin in plugins:
        if is_same_distribution(plugin.distribution, text) or plugin.name == text:
            return plugin.distribution
    for point in metadata.entry_points(group="lenskit.plugins"):
        if point.dist and point.module.partition(".")[0] == text.partition(".")[0]:
            return str(point.dist.name)
    names = sorted({plugin.distribution for plugin in plugins})
    raise UsageError(
        f"no installed plugin is called {text!r} (there are {', '.join(names)}): type pip install -e . in its folder"
    )


def check_plugin(distribution: str) -> Iterator[Outcome]:
    """Run the contracts of a distribution and of all its components.

    Args:
        distribution: Name of the distribution.
    """
    plugin: Any = type("Plugin", (PluginContract,), {"distribution": distribution})
    yield from _outcomes(f"plugin {distribution}", plugin())
    for record in plugin().records():
        yield from check_component(record)
    for change in template_changes(distribution):
        yield Outcome(f"plugin {distribution}", "the template is up to date", skipped=change)


def check_component(record: Record) -> Iterator[Outcome]:
    """Run the contract of a component at tiny sizes."""
    subject = f"{record.kind} {record.name!r}"
    if record.component.argument:
        yield Outcome(subject, "all", skipped="it needs an argument after a colon: test it with a test class")
        return
    try:
        options, missing = _options(record)
    except LenskitError as error:
        yield Outcome(subject, "it can be loaded", fault=str(error))
        return
    if missing:
        yield Outcome(subject, "all", skipped=f"it needs options ({', '.join(missing)}): test it with a test class")
        return
    members: dict[str, Any] = {"component": record.qualified, "options": options}
    if record.kind == "dataset":
        members["write"] = _no_data
    contract: Any = type("Component", (CONTRACTS[record.kind],), members)
    yield from _outcomes(subject, contract())


def template_changes(distribution: str, changes: dict[int, str] | None = None) -> list[str]:
    """Return the changes that newer templates would make to a plugin.

    Only the folder of an editable installation can be read.

    Args:
        distribution: Name of the distribution.
        changes: Change of each version of the templates; by default `CHANGES`.
    """
    origin = json.loads(metadata.distribution(distribution).read_text("direct_url.json") or "{}")
    file = Path(unquote(urlparse(origin.get("url", "")).path)) / "pyproject.toml"
    if not origin.get("dir_info", {}).get("editable") or not file.is_file():
        return []
    made_by = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}).get("lenskit", {}).get("template")
    known = CHANGES if changes is None else changes
    return [] if made_by is None else [text for version, text in sorted(known.items()) if version > made_by]


def _no_data(self: DatasetContract, folder: Path) -> Path:
    raise SkipTest("it needs data: write an example in a test class")


def _options(record: Record) -> tuple[dict[str, Any], list[str]]:
    """Return small options of a component, and the options without a default."""
    if record.kind in (*FILES, "encoder", "command"):
        return {}, []
    component = record.load()
    options = options_of(component)
    if missing := [option.name for option in options if option.required]:
        return {}, missing
    names = [option.name for option in options]
    small = {name: value for name, value in SMALL.items() if name in names}
    if record.kind in ("method", "backbone"):
        small |= {name: size for name in names for end, size in SMALL_WIDTHS.items() if name.endswith(end)}
    return {name: value for name, value in small.items() if _is_valid(component, name, value)}, []


def _is_valid(component: type, name: str, value: Any) -> bool:
    """Whether an option of a component takes a value."""
    try:
        validate(component, {name: value}, name)
    except LenskitError:
        return False
    return True


def _outcomes(subject: str, contract: Any) -> Iterator[Outcome]:
    """Run the tests of a contract."""
    for name in sorted(name for name in dir(contract) if name.startswith("test_")):
        words, start = name.removeprefix("test_").replace("_", " "), perf_counter()
        fault = skipped = ""
        try:
            with _quiet():
                getattr(contract, name)()
        except SkipTest as reason:
            skipped = str(reason)
        except (Breach, LenskitError) as error:
            fault = str(error)
        except Exception as error:
            fault = told(error, _module(contract))
        yield Outcome(subject, words, fault, skipped, perf_counter() - start)


def _module(contract: Any) -> str:
    """Return the module of a component, for the place of an exception."""
    record = getattr(contract, "record", None)
    return str(record.component.target).partition(":")[0] if record else ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the output and the logs of a test."""
    logger = logging.getLogger("lenskit")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with captured():
            yield
    finally:
        logger.setLevel(level)
