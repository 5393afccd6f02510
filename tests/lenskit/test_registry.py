"""Finding plugins: through the entry points of distributions that the tests install."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest

from lenskit.component import INTERFACE, KINDS
from lenskit.errors import LenskitError, UsageError, near
from lenskit.registry import Plugin, Registry, registry

Install = Callable[..., None]
Lenskit = Callable[..., Any]


def method(name: str, target: str = "nowhere:Method", **more: object) -> str:
    """A hook that brings one method."""
    return (
        "@hookimpl\ndef lenskit_methods():\n"
        f"    return [Component({name!r}, {target!r}, 'A method', **{more!r})]\n"
    )  # fmt: skip


def found(name: str) -> Plugin:
    (plugin,) = [p for p in registry().plugins if p.name == name]
    return plugin


BROKEN = {
    "raises at import": ("raise RuntimeError('no luck,\\n  really')", "RuntimeError: no luck, really"),
    "lacks a package": ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
    "is no Python": ("def", "SyntaxError: invalid syntax (acme_hooks.py, line "),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "hook raises": ("@hookimpl\ndef lenskit_methods():\n    return 1 / 0", "ZeroDivisionError: division by zero"),
    "hook raises on the way": (
        "@hookimpl\ndef lenskit_methods():\n    yield Component('a', 'b:C', 'd')\n    raise KeyError('late')",
        "KeyError: 'late'",
    ),
    "brings no Component": (
        "@hookimpl\ndef lenskit_pairs():\n    return ['noise']",
        "TypeError: lenskit_pairs returned 'noise', which is no Component",
    ),
    "forgets the list": (
        "@hookimpl\ndef lenskit_pairs():\n    return Component('noise', 'b:C', 'd')",
        "TypeError: lenskit_pairs returned Component(name='noise', ",
    ),
    "misspells a hook": (
        "@hookimpl\ndef lenskit_method():\n    return []",
        "PluginValidationError: unknown hook 'lenskit_method'",
    ),
    "wants an argument": (
        "@hookimpl\ndef lenskit_methods(config):\n    return []",
        "PluginValidationError: Plugin 'acme_hooks' for hook 'lenskit_methods'",
    ),
}


@pytest.mark.parametrize(("hooks", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_costs_one_line_and_nothing_else(
    hooks: str, reason: str, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("acme", f"{method('never')}\n{hooks}", version="2.1")
    install("zebra", method("stripes"))
    plugin = found("acme")
    assert (plugin.distribution, plugin.version, plugin.components) == ("lenskit-ssl-acme", "2.1", 0)
    assert plugin.error is not None
    assert plugin.error.startswith(reason)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"lenskit: plugin 'acme' of lenskit-ssl-acme 2.1 is left out: {plugin.error}\n"
    assert registry().find("method", "stripes").plugin.distribution == "lenskit-ssl-zebra"
    assert registry().find("method", "simsiam").plugin.distribution == "lenskit-ssl"
    with pytest.raises(UsageError, match=r"no method is called 'never'.*\(1 plugin\(s\) could not be loaded"):
        registry().find("method", "never")


@pytest.mark.parametrize(("hooks", "reason"), BROKEN.values(), ids=BROKEN)
def test_strict_raises_what_the_plugin_raised(
    hooks: str, reason: str, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LENSKIT_STRICT", "1")
    install("acme", hooks)
    with pytest.raises((Exception, SystemExit)) as error:
        registry()
    assert type(error.value).__name__ == reason.partition(":")[0]


@pytest.mark.parametrize("value", ["", "0"])
def test_strict_can_be_switched_off(value: str, install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LENSKIT_STRICT", value)
    install("acme", "raise RuntimeError")
    assert found("acme").error == "RuntimeError: (acme_hooks, line 3)"


def test_an_entry_point_that_names_nothing_is_left_out(tmp_path, install: Install) -> None:
    install("acme", "")
    (tmp_path / "site-packages" / "acme_hooks.py").unlink()
    assert found("acme").error == "ModuleNotFoundError: No module named 'acme_hooks'"


def test_distributions_may_call_their_plugins_and_modules_alike() -> None:
    points = [metadata.EntryPoint("siamese", "lenskit_siamese.hooks", "lenskit.plugins") for _ in range(2)]
    both = Registry.discover(points)
    assert [(p.distribution, p.version, p.error) for p in both.plugins] == [("unknown", "?", None)] * 2


@pytest.mark.parametrize(
    ("value", "names"), [("siamese", ["siamese"]), (" toys, siamese", ["siamese", "toys"]), ("", [])]
)
def test_the_environment_limits_what_is_loaded(
    value: str, names: list[str], install: Install, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LENSKIT_PLUGINS", value)
    install("acme", "raise RuntimeError")
    assert [p.name for p in registry().plugins] == names
    assert capsys.readouterr().err == ""
    with pytest.raises(UsageError, match=r"no simulator is called 'hst'.*\(LENSKIT_PLUGINS limits what is loaded\)"):
        registry().find("simulator", "hst")


def test_a_name_that_two_distributions_bring(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("acme", method("simsiam"), version="0.3")
    install("zebra", method("stripes"))
    assert registry().find("method", "stripes").name == "stripes"
    assert capsys.readouterr().err == ""
    with pytest.raises(UsageError) as error:
        registry().find("method", "simsiam")
    own = metadata.version("lenskit-ssl")
    assert str(error.value) == (
        f"method 'simsiam' is brought by 2 plugins (lenskit-ssl {own}, lenskit-ssl-acme 0.3): "
        "say which, as simsiam@lenskit-ssl or simsiam@lenskit-ssl-acme"
    )
    assert registry().find("method", "simsiam@lenskit-ssl-acme").plugin.name == "acme"
    assert registry().find("method", "simsiam@lenskit-ssl").load().__name__ == "SimSiam"
    with pytest.raises(UsageError, match="no method is called 'simsiam@nobody'"):
        registry().find("method", "simsiam@nobody")


def test_the_same_name_in_two_kinds_is_no_conflict(install: Install) -> None:
    install("acme", method("hst"))
    assert registry().find("method", "hst").plugin.name == "acme"
    assert registry().find("simulator", "hst").plugin.name == "lensing"
    assert [r.kind for r in registry().find_any("hst")] == ["simulator", "method"]
    assert [r.kind for r in registry().find_any("hst@lenskit-ssl-acme")] == ["method"]


def test_a_part_behind_a_colon_is_the_components_own() -> None:
    for name in ("timm:vit_tiny_patch16_224", "timm@lenskit-ssl:hf-hub:timm/vit_tiny", "timm:a@b"):
        assert registry().find("backbone", name).name == "timm"
    with pytest.raises(UsageError, match="backbone 'timm' needs a part behind a colon: timm:MODEL"):
        registry().find("backbone", "timm")
    with pytest.raises(UsageError, match="backbone 'resnet18' takes nothing behind a colon, got 'resnet18:small'"):
        registry().find("backbone", "resnet18:small")


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("method", "simsaim", "no method is called 'simsaim' (did you mean simsiam?); there are "),
        ("backbone", "resnet181", "(did you mean resnet18 or resnet101"),
        ("pairs", "lensfixed", "(did you mean lens-fixed or lens-fixed-dihedral?)"),
        ("simulator", "qqqq", "no simulator is called 'qqqq'; there are blobs, deeplense-1, deeplense-2, "),
    ],
)
def test_near_names_are_suggested(kind: str, name: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        registry().find(kind, name)
    assert message in str(error.value)


def test_near_names_are_suggested_of_any_kind() -> None:
    with pytest.raises(UsageError, match=r"no component is called 'quikstart' \(did you mean quickstart\?\)"):
        registry().find_any("quikstart")
    assert near("qqqq", ["simsiam"]) == ""


@pytest.mark.parametrize(
    ("interface", "advice"), [(INTERFACE - 1, "update the plugin"), (INTERFACE + 1, "update lenskit-ssl")]
)
def test_a_component_of_another_interface_says_so_when_it_is_used(
    interface: int, advice: str, install: Install
) -> None:
    install("acme", method("old", interface=interface))
    record = registry().find("method", "old")
    with pytest.raises(LenskitError) as error:
        record.load()
    assert str(error.value) == (
        f"method 'old' of lenskit-ssl-acme 1.0 was written for plugin interface {interface}, "
        f"this lenskit has {INTERFACE}: {advice}"
    )


def test_a_class_that_was_written_for_interface_1_says_what_to_rename(install: Install) -> None:
    old = "class Old:\n    usual = {}\n    def training_step(self, batch, batch_index): ...\n"
    install("acme", method("old", "acme_old:Old"), acme_old=old)
    with pytest.raises(LenskitError) as error:
        registry().find("method", "old").load()
    assert str(error.value) == (
        "method 'old' of lenskit-ssl-acme 1.0 was written for plugin interface 1: update the plugin, or change "
        "training_step(batch_index) to step(batch), usual to default_sections"
    )


@pytest.mark.parametrize(
    ("target", "module", "reason"),
    [
        ("acme_method:Method", None, "ModuleNotFoundError: No module named 'acme_method'"),
        ("acme_method:Method", "Methods = 1", "AttributeError: module 'acme_method' has no attribute 'Method'"),
        ("acme_method:Method", "Method = 1", "TypeError: Method is no class"),
        ("acme_method", "class Method: pass", "AttributeError: module 'acme_method' has no attribute ''"),
        ("acme_method:Method", "raise ValueError('one\\ntwo')", "ValueError: one two (acme_method, line 1)"),
        ("acme_method:Method", "class Method(:", "SyntaxError: invalid syntax (acme_method.py, line 1)"),
    ],
)
def test_a_target_that_cannot_be_loaded(target: str, module: str | None, reason: str, install: Install) -> None:
    install("acme", method("new", target), **({"acme_method": module} if module else {}))
    with pytest.raises(LenskitError) as error:
        registry().find("method", "new").load()
    assert str(error.value) == f"method 'new' of lenskit-ssl-acme 1.0 cannot be loaded from {target}: {reason}"


def test_an_evaluation_of_another_class_is_one_line(install: Install, lenskit: Lenskit) -> None:
    hooks = method("evil", "acme_evil:Evil").replace("methods", "evaluations")
    install("acme", hooks, acme_evil="class Evil: pass")
    with pytest.raises(LenskitError) as error:
        registry().find("evaluation", "evil").load()
    where = "evaluation 'evil' of lenskit-ssl-acme 1.0 cannot be loaded from acme_evil:Evil"
    assert str(error.value) == f"{where}: TypeError: Evil is no Evaluation"
    for line in (["evil", "--help"], ["evil", "run"], ["evaluate", "evil", "run"]):
        assert lenskit(*line).complaint(1) == str(error.value)
    for line in (["--help"], ["list", "evaluations"], ["probe", "--help"]):
        assert lenskit(*line).status == 0


def test_a_recipe_that_is_not_there(install: Install) -> None:
    install("acme", method("none", "json:recipes/none.toml").replace("methods", "recipes"))
    with pytest.raises(
        LenskitError, match=r"recipe 'none' of .* cannot be loaded from json:recipes/none.toml: FileNot"
    ):
        registry().find("recipe", "none").load()


@pytest.mark.parametrize("kind", KINDS)
def test_components_come_by_name(kind: str) -> None:
    names = [record.name for record in registry().of_kind(kind)]
    assert names == sorted(names)
