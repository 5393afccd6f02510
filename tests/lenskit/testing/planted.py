"""Components with planted faults, and the page `docs/plugins/contracts.md`.

Each `test_KIND.py` of this folder adds components of its kind. The page is generated:
`python -m tests.lenskit.testing.planted > docs/plugins/contracts.md`.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from unittest import SkipTest

from lenskit.component import KINDS, in_words
from lenskit.registry import registry
from lenskit.testing.check import CONTRACTS
from lenskit.testing.contract import Breach
from lenskit.testing.plugin import PluginContract
from lenskit.words import shortened

ROOT = Path(__file__).parents[3]

PAGE = ROOT / "docs" / "plugins" / "contracts.md"

HEAD = """# Contracts of components, each with a planted fault

`lenskit.testing` has a class of tests for each kind of component, see [Writing a plugin](index.md). Each row has a
test, a component that breaks it, and the message of the test. A message starts with the component, such as
`simulator 'rings' of lenskit-ssl-rings 1.0`. It ends with the file and line to change, if the test can know them. Both
are omitted here. The last column is the number of tests of the class that the component fails.
"""

RULES: dict[str, Any] = {**CONTRACTS, "plugin": PluginContract}
"""Test class of each kind, and that of distributions."""

LONGEST = 200
"""Largest number of characters of a message on the page."""

FILES: dict[str, bytes] = {}
"""Further files of the installed distribution, by path: for components that are no classes."""

DISTRIBUTIONS: dict[str, bytes] = {}
"""Files of whole distributions with a planted fault, by path."""

_messages: dict[tuple[str, str], str] = {}

Class = TypeVar("Class", bound=type)


@dataclass(frozen=True)
class Planted:
    """A component, and the test that it breaks.

    Attributes:
        kind: Its kind.
        test: Test that it breaks, in words: `images are finite`. Empty for a sound component.
        does: Its fault, as it follows `a component that`.
        says: Part of the message. Three dots stand for words of another library, which the page omits.
        target: Import string, as in `Component`.
        at: Method to change; empty for the class; None if the message has no place.
        attributes: Attributes of the test class, such as `options`.
        summary: Summary in the hook.
    """

    kind: str
    test: str
    does: str
    says: str
    target: str
    at: str | None
    attributes: Mapping[str, Any]
    summary: str

    def __str__(self) -> str:
        return self.does

    @property
    def name(self) -> str:
        """Name of the component."""
        return re.sub(r"[^a-z0-9]+", "-", self.does.lower()).strip("-")[:64]

    @property
    def pattern(self) -> str:
        """Regular expression of `says`."""
        return " .* ".join(map(re.escape, self.says.split(" ... ")))

    @property
    def contract(self) -> Any:
        """Instance of the test class."""
        members = {"component": self.name, **self.attributes}
        return type("Planted", (RULES[self.kind],), members)()

    def run(self, test: str) -> str:
        """Run a test.

        Returns:
            `passed`, the reason for skipping it as `skipped: ...`, or the fault.
        """
        try:
            getattr(self.contract, method_of(test))()
        except SkipTest as reason:
            return f"skipped: {reason}"
        except Exception as error:
            return str(error) or type(error).__name__
        return "passed"

    def message(self) -> str:
        """Return the message of the `Breach` of the broken test.

        It is kept, because the test of the page needs it again.

        Raises:
            LookupError: The test misses the fault.
        """
        if (self.kind, self.name) not in _messages:
            try:
                getattr(self.contract, method_of(self.test))()
            except Breach as breach:
                _messages[self.kind, self.name] = str(breach)
            else:
                raise LookupError(f"{self.test!r} misses a component that {self.does}")
        return _messages[self.kind, self.name]

    def failed(self) -> list[str]:
        """Return the tests that it fails."""
        outcomes = {test: self.run(test) for test in rules_of(self.kind)}
        return [test for test, outcome in outcomes.items() if outcome != "passed" and "skipped: " not in outcome]

    def place(self) -> str:
        """Return the place that the message names: ` (FILE, line NUMBER)`.

        It is found without `inspect`, which the contracts use.
        """
        if self.at is None:
            return ""
        module, _, name = self.target.partition(":")
        component = getattr(importlib.import_module(module), name)
        if self.at:
            code = getattr(component, self.at).__code__
            return f" ({Path(code.co_filename).name}, line {code.co_firstlineno})"
        file = Path(str(importlib.import_module(component.__module__).__file__))
        lines = file.read_text(encoding="utf-8").splitlines()
        first = next(n for n, line in enumerate(lines) if re.match(rf"class {component.__name__}\b", line))
        while re.match(r"[@ )]", lines[first - 1]):  # decorators
            first -= 1
        return f" ({file.name}, line {first + 1})"


FAULTS: list[Planted] = []
"""Components with a planted fault."""

SOUND: list[Planted] = []
"""Components without a fault."""

SUPPORT: list[Planted] = []
"""Components that others need, without tests."""


def planted(
    kind: str, test: str, does: str, says: str, *, at: str | None = "", summary: str = "A component", **attributes: Any
) -> Callable[[Class], Class]:
    """Add a class with a fault to the table; for the arguments see `Planted`.

    A class without a docstring gets one, unless this is its fault.
    """

    def add(component: Class) -> Class:
        if test != "the docstring describes it":
            component.__doc__ = component.__doc__ or f"Component that {does}."
        plant(kind, test, does, says, target_of(component), at=at, summary=summary, **attributes)
        return component

    return add


def sound(kind: str, does: str, **attributes: Any) -> Callable[[Class], Class]:
    """Add a class without a fault to the table."""

    def add(component: Class) -> Class:
        SOUND.append(Planted(kind, "", does, "", target_of(component), None, attributes, "A component"))
        return component

    return add


def support(kind: str, name: str, component: type) -> str:
    """Add a class that other components need, and return its name."""
    SUPPORT.append(Planted(kind, "", name, "", target_of(component), None, {}, "A component"))
    return SUPPORT[-1].name


def plant(
    kind: str, test: str, does: str, says: str, target: str, *, at: str | None = None, summary: str = "A component",
    **attributes: Any,
) -> None:  # fmt: skip
    """Add a component with a fault to the table; for the arguments see `Planted`."""
    FAULTS.append(Planted(kind, test, does, says, target, at, attributes, summary))


def target_of(component: type) -> str:
    return f"{component.__module__}:{component.__name__}"


def faults(kind: str) -> list[Planted]:
    """Return the components of a kind with a planted fault."""
    return [fault for fault in FAULTS if fault.kind == kind]


def sounds(kind: str) -> list[Planted]:
    """Return the components of a kind without a fault."""
    return [one for one in SOUND if one.kind == kind]


def method_of(test: str) -> str:
    return f"test_{test.replace(' ', '_')}"


def rules_of(kind: str) -> list[str]:
    """Return the tests of a kind in words, own tests first."""
    tests = [name for base in RULES[kind].__mro__ for name in vars(base)]
    return [test.removeprefix("test_").replace("_", " ") for test in dict.fromkeys(tests) if test.startswith("test_")]


def check_found(fault: Planted) -> None:
    """Assert that the test of a fault names component, fault and place."""
    message = fault.message()
    # An error at the construction of a run names the component as a user types it.
    title = rf"{in_words(fault.kind)} '{fault.name}(@lenskit-mine'|' of lenskit-mine 1.0|')"
    assert re.search(title, message), message
    assert re.search(fault.pattern, message), message
    assert message.endswith(fault.place()), (message, fault.place())


def check_complete(kind: str) -> None:
    """Assert that each test has a planted fault, and that no sound component fails."""
    outcomes = {(one.does, test): one.run(test) for one in sounds(kind) for test in rules_of(kind)}
    failed = {case: told for case, told in outcomes.items() if told != "passed" and not told.startswith("skipped: ")}
    assert not failed
    assert {test for (_, test), told in outcomes.items() if told == "passed"} == {*rules_of(kind)}
    assert {fault.test for fault in faults(kind)} == {*rules_of(kind)}


@contextmanager
def installed() -> Iterator[None]:
    """Install the components of all tables as the distribution `lenskit-mine`."""
    load()
    hooks = ["from lenskit.plugin import Component, hookimpl"]
    for kind, plural in KINDS.items():
        parts = [
            f"Component({one.name!r}, {one.target!r}, {one.summary!r})"
            for one in (*SOUND, *FAULTS, *SUPPORT)
            if one.kind == kind
        ]
        hooks.append(f"@hookimpl\ndef lenskit_{plural}():\n    return [{', '.join(parts)}]")
    info = "lenskit_mine-1.0.dist-info"
    files = {
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: lenskit-mine\nVersion: 1.0\n",
        f"{info}/entry_points.txt": b"[lenskit.plugins]\nmine = mine_hooks\n",
        "mine_hooks.py": "\n\n\n".join(hooks).encode(),
    }
    with site_packages(files | FILES):
        yield


@contextmanager
def site_packages(files: Mapping[str, bytes]) -> Iterator[None]:
    """Install files for this process and the processes that it starts.

    Args:
        files: Content of each file by path.
    """
    with TemporaryDirectory(prefix="lenskit-planted-") as name:
        for path, content in files.items():
            file = Path(name, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        paths, variable, modules = sys.path[:], os.environ.get("PYTHONPATH"), {*sys.modules}
        sys.path[:0] = [name, str(ROOT)]
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path[:2] + ([variable] if variable else []))
        importlib.invalidate_caches()
        registry.cache_clear()
        try:
            yield
        finally:
            sys.path[:] = paths
            os.environ.pop("PYTHONPATH")
            os.environ.update({} if variable is None else {"PYTHONPATH": variable})
            for module in [m for m in sys.modules if m not in modules]:
                if name in (getattr(sys.modules[module], "__file__", None) or ""):
                    del sys.modules[module]
            registry.cache_clear()


def load() -> None:
    """Import all tables."""
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(f"tests.lenskit.testing.{file.stem}")


def row(fault: Planted, count: bool = True) -> str:
    """Return the row of a fault on the page.

    Args:
        fault: The fault.
        count: Whether to add the number of failed tests.
    """
    message = fault.message().removesuffix(fault.place())
    if " ... " in fault.says:
        message = re.sub(fault.pattern, lambda _: fault.says, message)
    title = rf"[a-z ]*'{re.escape(fault.name)}(@lenskit-mine'|' of lenskit-mine 1.0:?)|plugin [a-z-]+"
    message = re.sub(rf"^({title}) ", "", message)
    message = re.sub(r"/\S*/lenskit-(contract|planted)-\w+", "FOLDER", message)
    message = re.sub(r"\d+\.\d+ s ", "N s ", message)
    told = f"| {fault.test} | {fault.does} | {shortened(message, LONGEST).replace('|', chr(92) + '|')} |"
    return f"{told} {len(fault.failed())} of {len(rules_of(fault.kind))} |" if count else told


def heading(kind: str) -> str:
    """Return the heading of a kind on the page."""
    titles = {**KINDS, "pairs": "pair strategies", "plugin": "distributions"}
    return f"## {titles[kind].capitalize()}"


def section(kind: str, count: bool = True) -> list[str]:
    """Return the lines of a kind on the page; for `count` see `row`."""
    header = ["| test | a component that | message | tests it fails |", "|---|---|---|---|"]
    with site_packages(DISTRIBUTIONS) if kind == "plugin" else nullcontext():
        return [heading(kind), "", *header, *(row(fault, count) for fault in faults(kind)), ""]


def page() -> str:
    """Return the page of all kinds of the table."""
    return "\n".join([HEAD, *(line for kind in RULES if faults(kind) for line in section(kind))])


def main() -> None:
    """Print the page."""
    from tests.lenskit.testing import planted  # this module runs as `__main__`

    # Evaluations and commands print their results.
    with planted.installed(), redirect_stdout(StringIO()):
        page = planted.page()
    print(page, end="")


if __name__ == "__main__":
    main()
