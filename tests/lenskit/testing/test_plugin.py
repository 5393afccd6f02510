"""Contract of distributions: each test finds its planted fault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lenskit.testing import planted as table

KIND = "plugin"

IMPORT = "from lenskit.plugin import Component, hookimpl\n"

HOOKS = f"""{IMPORT}
@hookimpl
def lenskit_recipes():
    return [Component("NAME-recipe", "NAME:recipe.toml", "A recipe")]
"""

REQUIRES = "lenskit-ssl>=0.1,<0.3"


def distribution(
    name: str,
    hooks: str = HOOKS,
    requires: str = REQUIRES,
    point: str = "NAME.hooks",
    left_out: str = "",
    lacks: str = "",
) -> str:
    """Write the files of a distribution, and return its name.

    Args:
        name: Name of its package; `NAME` in the other arguments.
        hooks: Module of hooks.
        requires: Requirement in its metadata; empty for none.
        point: Module of its entry point; empty for none.
        left_out: File that the list of installed files lacks.
        lacks: File that does not exist.
    """
    info = f"lenskit_ssl_{name}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: lenskit-ssl-{name}\nVersion: 1.0\n"
    files = {
        f"{name}/__init__.py": "",
        f"{name}/hooks.py": hooks.replace("NAME", name),
        f"{name}/recipe.toml": "[train]\nepochs = 1\n",
        f"{info}/METADATA": metadata + (f"Requires-Dist: {requires}\n" if requires else ""),
    }
    if point:
        files[f"{info}/entry_points.txt"] = f"[lenskit.plugins]\n{name} = {point.replace('NAME', name)}\n"
    files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in files if file != f"{name}/{left_out}")
    files.pop(f"{name}/{lacks}", None)
    table.DISTRIBUTIONS.update({path: text.encode() for path, text in files.items()})
    return f"lenskit-ssl-{name}"


def planted(test: str, does: str, says: str, name: str, **more: str) -> None:
    """Add a distribution with a fault; for the other arguments see `distribution`."""
    table.plant(KIND, test, does, says, "", distribution=distribution(name, **more))


def sound(does: str, name: str, **more: str) -> None:
    """Add a distribution without a fault; for the other arguments see `distribution`."""
    attributes = {"distribution": distribution(name, **more)}
    table.SOUND.append(table.Planted(KIND, "", does, "", "", None, attributes, ""))


sound("has a recipe", "tidy")
sound("requires a compatible version", "compatible", requires="Lenskit_SSL[all]~=0.1 ; python_version > '3'")

INSTALLED = "it is installed with an entry point"
planted(INSTALLED, "has no entry point", "is not installed, or has no entry point", "pointless", point="")

ACCEPTED = "all components are accepted"
planted(ACCEPTED, "has an entry point to no module", "cannot be loaded: ModuleNotFound", "lost", point="NAME.hoks")
planted(ACCEPTED, "has a hook that fails", "hook lenskit_recipes is left out: KeyError", "failing",
        hooks=f"{IMPORT}@hookimpl\ndef lenskit_recipes():\n    return {{}}['recipe']\n")  # fmt: skip
planted(ACCEPTED, "has a hook without a mark", "it lacks @hookimpl", "unmarked", hooks=HOOKS.replace("@hookimpl", ""))
planted(ACCEPTED, "has a component with a wrong name", "a name must have up to 64", "named",
        hooks=HOOKS.replace("NAME-recipe", "My Recipe"))  # fmt: skip
planted(ACCEPTED, "has no component", "has no component: return some in a hook", "bare", hooks=IMPORT)

LOADED = "all components can be loaded"
SIMULATOR = IMPORT + "@hookimpl\ndef lenskit_simulators():\n    return [Component('NAME-one', 'TARGET', 'One')]\n"
planted(LOADED, "names a missing module", "cannot be loaded from NAME".replace("NAME", "absent"), "absent",
        hooks=SIMULATOR.replace("TARGET", "NAME.simulator:Simulator"))  # fmt: skip
planted(LOADED, "names a function in place of a class", "lenskit_simulators is not a class", "function",
        hooks=SIMULATOR.replace("TARGET", "NAME.hooks:lenskit_simulators"))  # fmt: skip

planted("hooks import nothing heavy", "imports scipy with its hooks", "imports scipy with its hooks: name classes by",
        "heavy", hooks=f"import scipy\n{HOOKS}")  # fmt: skip
planted("hooks are imported fast", "waits in its hooks", "s to import its hooks: import less there", "slow",
        hooks=f"import time\ntime.sleep(0.31)\n{HOOKS}")  # fmt: skip
planted("hooks print nothing", "greets the user", "prints at import: 'Hello'. Remove it", "loud",
        hooks=f"print('Hello')\n{HOOKS}")  # fmt: skip
planted("hooks print nothing", "complains on standard error", "prints at import: 'old'", "grumpy",
        hooks=f"import sys\nprint('old', file=sys.stderr)\n{HOOKS}")  # fmt: skip
planted("names are those of no bundled component", "has a recipe `default`", "has a recipe 'default', like lenskit",
        "double", hooks=HOOKS.replace("NAME-recipe", "default"))  # fmt: skip

WHEEL = "data files are in the wheel"
planted(WHEEL, "names a missing file", "lacks incomplete:recipe.toml", "incomplete", lacks="recipe.toml")
planted(WHEEL, "has a wheel without its recipe", "lacks unpacked/recipe.toml in its wheel", "unpacked",
        left_out="recipe.toml")  # fmt: skip

BOUND = "lenskit is required with a bound"
planted(BOUND, "requires nothing", "does not require lenskit: add", "free", requires="")
planted(
    BOUND, "requires another plugin alone", "does not require lenskit: add", "next", requires="lenskit-ssl-tidy>=1,<2"
)
planted(
    BOUND,
    "requires any later version",
    "requires lenskit-ssl>=0.1 without bounds",
    "later",
    requires="lenskit-ssl>=0.1",
)
planted(BOUND, "requires any version", "requires lenskit-ssl without bounds", "any", requires="lenskit-ssl")


@pytest.fixture(autouse=True, scope="module")
def distributions(planted_components: None) -> Iterator[None]:
    """Install the distributions while the tests of this module run."""
    with table.site_packages(table.DISTRIBUTIONS):
        yield


@pytest.mark.slow
@pytest.mark.parametrize("fault", table.faults(KIND), ids=str)
def test_a_planted_fault_is_found(fault: table.Planted) -> None:
    message = fault.message()
    assert fault.attributes["distribution"] in message
    assert fault.says in message


@pytest.mark.slow
def test_the_table_is_complete() -> None:
    table.check_complete(KIND)
