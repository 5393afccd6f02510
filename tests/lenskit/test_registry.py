"""Discovery of plugins through entry points of installed distributions."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from lenskit.component import INTERFACE, KINDS
from lenskit.errors import LenskitError, UsageError, near
from lenskit.found import Plugin
from lenskit.registry import Registry, registry

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


NOT_IMPORTED = {
    "raises": ("raise RuntimeError('no luck,\\n  really')", "RuntimeError: no luck, really (acme_hooks, line 8)"),
    "lacks a package": (
        "import nowhere_to_be_found",
        "ModuleNotFoundError: No module named 'nowhere_to_be_found' (acme_hooks, line 8)",
    ),
    "is no Python": ("def", "SyntaxError: invalid syntax (acme_hooks.py, line "),
    "exits": ("raise SystemExit(3)", "SystemExit: 3 (acme_hooks, line 8)"),
}


@pytest.mark.parametrize(("hooks", "reason"), NOT_IMPORTED.values(), ids=NOT_IMPORTED)
def test_a_plugin_that_cannot_be_imported_costs_one_line_and_nothing_else(
    hooks: str, reason: str, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("acme", f"{method('never')}\n\n{hooks}", version="2.1")
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
    with pytest.raises(UsageError, match=r"unknown method 'never'.*\(1 plugin\(s\) could not be loaded in full"):
        registry().find("method", "never")


FAULTY = {
    "raises": (
        "@hookimpl\ndef lenskit_pairs():\n    return 1 / 0",
        "hook lenskit_pairs", "ZeroDivisionError: division by zero (acme_hooks, line 10)",
    ),
    "raises on the way": (
        "@hookimpl\ndef lenskit_pairs():\n    yield Component('a', 'b:C', 'd')\n    raise KeyError('late')",
        "hook lenskit_pairs", "KeyError: 'late' (acme_hooks, line 11)",
    ),
    "returns nothing": (
        "@hookimpl\ndef lenskit_pairs():\n    [Component('a', 'b:C', 'd')]",
        "hook lenskit_pairs", "it returned None, which is not a list of Components",
    ),
    "forgets the list": (
        "@hookimpl\ndef lenskit_pairs():\n    return Component('noise', 'b:C', 'd')",
        "hook lenskit_pairs", "it returned Component(name='noise', ",
    ),
    "returns a text": (
        "@hookimpl\ndef lenskit_pairs():\n    return 'noise'",
        "hook lenskit_pairs", "it returned 'noise', which is not a list of Components",
    ),
    "is not marked": (
        "def lenskit_pairs():\n    return [Component('a', 'b:C', 'd')]", "hook lenskit_pairs", "it lacks @hookimpl",
    ),
    "is misspelt": (
        "@hookimpl\ndef lenskit_pair():\n    return []",
        "hook lenskit_pair", "there is no such hook (did you mean lenskit_pairs",
    ),
    "brings no Component": (
        "@hookimpl\ndef lenskit_pairs():\n    return ['noise']",
        "an entry of hook lenskit_pairs", "'noise' is not a Component",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("hooks", "what", "why"), FAULTY.values(), ids=FAULTY)
def test_a_faulty_hook_costs_one_line_and_no_other_hook(
    hooks: str, what: str, why: str, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    install("acme", f"{method('good')}\n\n{hooks}")
    plugin = found("acme")
    assert (plugin.error, plugin.components) == (None, 1)
    (refusal,) = plugin.refused
    assert refusal.label == what
    assert refusal.why.startswith(why)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"lenskit: {what} of lenskit-ssl-acme 1.0 is left out: {refusal.why}\n"
    assert registry().find("method", "good").plugin is plugin


GOOD = "Component('good', 'b:C', 'Good')"
LETTERS = (
    "a name must have up to 64 lower-case letters, digits, dots, hyphens and underscores, "
    "and begin with a letter or a digit"
)
BAD = {
    "path": ("methods", "Component('../../evil', 'b:C', 'd')", "method '../../evil'", LETTERS),
    "upper case": ("simulators", "Component('HST', 'b:C', 'd')", "simulator 'HST'", LETTERS),
    "space": ("encoders", "Component('a b', 'b:C', 'd')", "encoder 'a b'", LETTERS),
    "plus": ("pairs", "Component('a+b', 'b:C', 'd')", "pair strategy 'a+b'", LETTERS),
    "at": ("backbones", "Component('a@b', 'b:C', 'd')", "backbone 'a@b'", LETTERS),
    "empty": ("formats", "Component('', 'b:C', 'd')", "format ''", LETTERS),
    "number": ("datasets", "Component(3, 'b:C', 'd')", "reader 3", LETTERS),
    "nothing": ("instruments", "Component(None, 'b:c.toml', 'd')", "instrument None", LETTERS),
    "long": ("recipes", "Component('a' * 65, 'b:c.toml', 'd')", f"recipe '{'a' * 65}'", LETTERS),
    "file": (
        "recipes", "Component('mine.toml', 'b:c.toml', 'd')", "recipe 'mine.toml'",
        "a name must not end in .toml, which marks a file",
    ),
    "dot in pairs": (
        "pairs", "Component('a.b', 'b:C', 'd')", "pair strategy 'a.b'",
        "a name of pairs must not contain a dot, which precedes an option (--set pairs.NAME.OPTION=VALUE)",
    ),
    "verb": ("evaluations", "Component('train', 'b:C', 'd')", "evaluation 'train'", "lenskit has a verb of this name"),
    "own verb": ("commands", "Component('list', 'b:c', 'd')", "command 'list'", "lenskit has a verb of this name"),
    "evaluation's verb": (
        "commands", "Component('probe', 'b:c', 'd')", "command 'probe'", "there is an evaluation of that name",
    ),
    "folder of runs": (
        "evaluations", "Component('best', 'b:C', 'd')", "evaluation 'best'",
        "the folder best of a run is for the results of its best encoder: choose a different name",
    ),
    "summary of two lines": (
        "methods", "Component('a', 'b:C', 'd\\ne')", "method 'a'", "a summary must be one line of text, got 'd\\ne'",
    ),
    "summary that is a number": (
        "evaluations", "Component('a', 'b:C', 3)", "evaluation 'a'", "a summary must be one line of text, got 3",
    ),
    "summary without text": (
        "methods", "Component('a', 'b:C', type('Odd', (), {'__repr__': lambda self: 1 / 0})())", "method 'a'",
        "a summary must be one line of text, got a Odd",
    ),
    "target without attribute": (
        "methods", "Component('a', 'b', 'd')", "method 'a'",
        "a target of this kind must have the form package.module:name, got 'b'",
    ),
    "target that is a path": (
        "recipes", "Component('a', 'b/c.toml', 'd')", "recipe 'a'",
        "a target of this kind must have the form package:path, got 'b/c.toml'",
    ),
    "target that is a class": (
        "methods", "Component('a', int, 'd')", "method 'a'",
        "a target of this kind must have the form package.module:name, got <class 'int'>",
    ),
    "argument": (
        "backbones", "Component('a', 'b:C', 'd', argument=['x'])", "backbone 'a'",
        "argument must be the name of an option, got ['x']",
    ),
    "argument of a reader": (
        "datasets", "Component('a', 'b:C', 'd', argument='x')", "reader 'a'",
        "components of this kind take no argument",
    ),
    "interface that is a text": (
        "methods", "Component('a', 'b:C', 'd', interface='2')", "method 'a'",
        "its interface is '2', which is not an integer",
    ),
    "old interface": (
        "methods", "Component('a', 'b:C', 'd', interface=1)", "method 'a'",
        f"it was written for plugin interface 1, but this version of lenskit has {INTERFACE}: update the plugin",
    ),
    "later interface": (
        "recipes", "Component('a', 'b:c.toml', 'd', interface=99)", "recipe 'a'",
        f"it was written for plugin interface 99, but this version of lenskit has {INTERFACE}: update lenskit-ssl",
    ),
    "digests": (
        "encoders", "Component('a', 'b:c', 'd', digests=None)", "encoder 'a'",
        "digests must map each file name to its digest, got None",
    ),
    "twice": (
        "methods", "Component('good', 'b:C', 'd')", "method 'good'",
        "lenskit-ssl-acme has an earlier method of that name",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("plural", "component", "what", "why"), BAD.values(), ids=BAD)
def test_a_component_that_breaks_a_rule_is_left_out_alone(
    plural: str, component: str, what: str, why: str, install: Install, lenskit: Lenskit
) -> None:
    good = "Component('good', 'b:c.toml', 'Good')" if plural in ("instruments", "recipes") else GOOD
    install("acme", f"@hookimpl\ndef lenskit_{plural}():\n    return [{good}, {component}]\n")
    line = f"lenskit: {what} of lenskit-ssl-acme 1.0 is left out: {why}\n"
    for words in (["list"], ["list", "--json"], ["--help"]):
        registry.cache_clear()
        outcome = lenskit(*words)
        assert (outcome.status, outcome.err) == (0, line)
    plugin = found("acme")
    assert (plugin.error, plugin.components) == (None, 1)
    assert [str(refusal) for refusal in plugin.refused] == [f"{what} is left out: {why}"]
    assert f"\n    {what} is left out: {why}\n" in lenskit("plugins").out
    assert "good" in [record["name"] for record in json.loads(lenskit("list", plural, "--json").out)]


def test_many_faults_of_a_plugin_are_one_line(install: Install, lenskit: Lenskit) -> None:
    bad = ", ".join(f"Component('{letter}', 'b:C', 'd')" for letter in "ABC")
    install("acme", f"@hookimpl\ndef lenskit_methods():\n    return [{GOOD}, {bad}]\n")
    assert lenskit("list").err == (
        f"lenskit: method 'A' of lenskit-ssl-acme 1.0 is left out: {LETTERS} (and 2 more: see `lenskit plugins`)\n"
    )
    assert lenskit("plugins").out.count(" is left out: ") == 3


@pytest.mark.parametrize("name", ["a", "2d", "my-method", "a_b", "a..b", "v1.2"])
def test_good_names(name: str, install: Install) -> None:
    install("acme", method(name))
    assert registry().find("method", name).plugin.refused == []


def test_asking_for_what_is_left_out_says_why(install: Install, lenskit: Lenskit) -> None:
    install("acme", method("old", interface=1), version="0.3")
    said = (
        "method 'old' of lenskit-ssl-acme 0.3 is left out: it was written for plugin interface 1, "
        f"but this version of lenskit has {INTERFACE}: update the plugin"
    )
    registry()
    for name in ("old", "old@lenskit-ssl-acme"):
        with pytest.raises(UsageError) as error:
            registry().find("method", name)
        assert str(error.value) == said
        assert lenskit("info", name).complaint() == said
        assert lenskit("train", "--method", name).complaint() == said
    with pytest.raises(UsageError, match="unknown simulator 'old'"):
        registry().find("simulator", "old")


def test_a_verb_that_is_left_out_says_why(install: Install, lenskit: Lenskit) -> None:
    install("acme", method("judge", interface=1).replace("methods", "evaluations"))
    registry()
    for words in (["judge", "run"], ["evaluate", "judge", "run"], ["judge@lenskit-ssl-acme"]):
        assert lenskit(*words).complaint().startswith("evaluation 'judge' of lenskit-ssl-acme 1.0 is left out: it was")


def test_an_interrupt_while_a_plugin_is_loaded_is_one(install: Install, lenskit: Lenskit) -> None:
    install("acme", "raise KeyboardInterrupt")
    assert lenskit("list").status == 130
    (tmp,) = [path for path in sys.path if path.endswith("site-packages") and Path(path, "acme_hooks.py").is_file()]
    Path(tmp, "acme_hooks.py").write_text("")
    assert lenskit("list").status == 0


LOUD = """
import logging, sys, warnings
print('to whom it may concern')
print('from afar', file=sys.stderr)
logging.warning('logged')
logging.getLogger('acme').error('too')
own = logging.StreamHandler()
warnings.warn('deprecated')
sys.stdout.buffer, sys.stdout.encoding, sys.stderr.isatty()
"""


def test_output_of_a_plugin_is_kept_for_the_table(install: Install, lenskit: Lenskit) -> None:
    handlers = logging.getLogger().handlers[:]
    install(
        "acme", f"{LOUD}\n{method('good')}    print('hook')\n".replace("    return", "    print('ask')\n    return")
    )
    outcome = lenskit("list", "--json")
    assert outcome.err == ""
    assert "good" in [record["name"] for record in json.loads(outcome.out)]
    assert logging.getLogger().handlers == handlers
    (line,) = [line for line in lenskit("plugins").out.splitlines() if "printed" in line]
    assert line.startswith("    printed while it was loaded: to whom it may concern from afar ")
    for word in ("logged", "too", "ask"):
        assert word in line


def test_a_plugin_that_takes_long_is_told(install: Install) -> None:
    assert Plugin("acme", "lenskit-ssl-acme", "1.0", seconds=0.1).remarks == []
    assert Plugin("acme", "lenskit-ssl-acme", "1.0", seconds=0.31).remarks == [
        "took 0.31 s to load: import no heavy packages in hooks or in a package's __init__"
    ]


@pytest.mark.parametrize(
    ("hooks", "error"),
    [
        (NOT_IMPORTED["raises"][0], RuntimeError),
        (NOT_IMPORTED["exits"][0], SystemExit),
        (FAULTY["raises"][0], ZeroDivisionError),
        (FAULTY["returns nothing"][0], UsageError),
        (FAULTY["is misspelt"][0], UsageError),
        (FAULTY["is not marked"][0], UsageError),
        (method("../evil"), UsageError),
        (f"{method('a')}\n\n{method('b')}".replace("'b'", "'a'").replace("return [", "return 2 * ["), UsageError),
    ],
)
def test_strict_raises_what_the_plugin_raised(
    hooks: str, error: type[BaseException], install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LENSKIT_STRICT", "1")
    install("acme", hooks)
    with pytest.raises(error):
        registry()


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
    with pytest.raises(
        UsageError, match=r"unknown simulator 'hst'.*\(LENSKIT_PLUGINS restricts the plugins that are loaded\)"
    ):
        registry().find("simulator", "hst")


def test_a_name_that_two_strangers_bring(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("acme", method("stripes"), version="0.3")
    install("zebra", method("stripes"))
    with pytest.raises(UsageError) as error:
        registry().find("method", "stripes")
    assert str(error.value) == (
        "method 'stripes' is in 2 plugins (lenskit-ssl-acme 0.3, lenskit-ssl-zebra 1.0): "
        "type stripes@lenskit-ssl-acme or stripes@lenskit-ssl-zebra"
    )
    for name in ("stripes@lenskit-ssl-acme", "stripes@Lenskit_SSL.acme"):
        assert registry().find("method", name).plugin.name == "acme"
    assert capsys.readouterr().err == ""
    with pytest.raises(UsageError, match="unknown method 'stripes@nobody': no plugin of nobody is installed; "):
        registry().find("method", "stripes@nobody")
    with pytest.raises(UsageError, match=r"'stripes@lenskit-acme'; did you mean stripes@lenskit-ssl-acme"):
        registry().find("method", "stripes@lenskit-acme")


def test_a_bundled_component_keeps_its_name(install: Install, capsys: pytest.CaptureFixture[str]) -> None:
    install("acme", method("simsiam"))
    assert registry().find("method", "byol").is_bundled
    assert capsys.readouterr().err == ""
    for _ in range(2):
        assert registry().find("method", "simsiam").load().__name__ == "SimSiam"
    assert capsys.readouterr().err == (
        "lenskit: method 'simsiam' is from lenskit-ssl; to use a different one, type simsiam@lenskit-ssl-acme\n"
    )
    assert registry().find("method", "simsiam@lenskit-ssl").load().__name__ == "SimSiam"
    assert registry().find("method", "simsiam@lenskit-ssl-acme").plugin.name == "acme"
    titles = [record.title for record in registry().of_kind("method") if record.name == "simsiam"]
    assert titles == ["simsiam", "simsiam@lenskit-ssl-acme"]
    assert capsys.readouterr().err == ""


def test_files_record_a_name_that_means_one_component_whatever_is_installed(install: Install) -> None:
    more = method("many", argument="rate").replace("lenskit_methods", "lenskit_backbones")
    install("acme", f"{method('simsiam')}\n\n{more}")
    install("zebra", method("stripes"))
    for name, recorded in {
        "simsiam": "simsiam",
        "simsiam@lenskit-ssl": "simsiam",
        "simsiam@lenskit-ssl-acme": "simsiam@lenskit-ssl-acme",
        "stripes": "stripes@lenskit-ssl-zebra",
        "stripes@lenskit_ssl_zebra": "stripes@lenskit-ssl-zebra",
        "nowhere": "nowhere",
        "nowhere@lenskit-ssl": "nowhere@lenskit-ssl",
    }.items():
        assert registry().recorded("method", name) == recorded
    for name, recorded in {
        "many:0.5": "many@lenskit-ssl-acme:0.5",
        "many@lenskit-ssl-acme:a@b:c": "many@lenskit-ssl-acme:a@b:c",
        "timm:vit": "timm:vit",
        "timm@lenskit-ssl:hf-hub:timm/vit": "timm:hf-hub:timm/vit",
        "many": "many",
    }.items():
        assert registry().recorded("backbone", name) == recorded


def test_a_bundled_verb_keeps_its_name(install: Install, lenskit: Lenskit) -> None:
    install("acme", method("probe", "acme_probe:Probe").replace("methods", "evaluations"), acme_probe="Probe = 1")
    verbs = [line.split()[0] for line in lenskit("--help").out.splitlines() if line.startswith("  ")]
    assert {"probe", "probe@lenskit-ssl-acme"} <= {*verbs}
    assert lenskit("probe", "--help").status == 0
    said = lenskit("probe@lenskit-ssl-acme", "--help").complaint(1)
    assert said.startswith("evaluation 'probe' of lenskit-ssl-acme 1.0 cannot be loaded")
    names = [record["name"] for record in json.loads(lenskit("list", "evaluations", "--json").out)]
    assert {"probe", "probe@lenskit-ssl-acme"} <= {*names}


def test_the_same_name_in_two_kinds_is_no_conflict(install: Install) -> None:
    install("acme", method("hst"))
    assert registry().find("method", "hst").plugin.name == "acme"
    assert registry().find("simulator", "hst").plugin.name == "lensing"
    assert [r.kind for r in registry().find_any("hst")] == ["simulator", "method"]
    assert [r.kind for r in registry().find_any("hst@lenskit-ssl-acme")] == ["method"]


def test_a_part_behind_a_colon_is_the_components_own() -> None:
    for name in ("timm:vit_tiny_patch16_224", "timm@lenskit-ssl:hf-hub:timm/vit_tiny", "timm:a@b"):
        assert registry().find("backbone", name).name == "timm"
    with pytest.raises(UsageError, match="backbone 'timm' needs an argument after a colon: timm:MODEL"):
        registry().find("backbone", "timm")
    with pytest.raises(UsageError, match="backbone 'resnet18' takes no argument after a colon, got 'resnet18:small'"):
        registry().find("backbone", "resnet18:small")


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("method", "simsaim", "unknown method 'simsaim'; did you mean simsiam"),
        ("backbone", "resnet181", "unknown backbone 'resnet181'; did you mean resnet18 or resnet101"),
        ("pairs", "lensfixed", "unknown pair strategy 'lensfixed'; did you mean lens-fixed or lens-fixed-dihedral?"),
        ("simulator", "qqqq", "unknown simulator 'qqqq'; there are blobs, deeplense-1, deeplense-2, "),
    ],
)
def test_near_names_are_suggested(kind: str, name: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        registry().find(kind, name)
    assert message in str(error.value)


def test_near_names_are_suggested_of_any_kind() -> None:
    with pytest.raises(UsageError, match=r"unknown component 'quikstart'; did you mean quickstart"):
        registry().find_any("quikstart")
    assert near("qqqq", ["simsiam"]) == ""


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
        ("acme_method:Method", "Method = 1", "TypeError: Method is not a class"),
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
    assert str(error.value) == f"{where}: TypeError: Evil does not derive from Evaluation"
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


def test_a_hook_that_wants_an_argument_is_refused_by_pluggy(install: Install) -> None:
    install("acme", "@hookimpl\ndef lenskit_pairs(config):\n    return []")
    assert (found("acme").error or "").startswith("PluginValidationError")
