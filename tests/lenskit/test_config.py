"""Configurations: layers, faults, and resolution of resolved ones."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lenskit.chosen import build
from lenskit.component import KINDS
from lenskit.config import Config
from lenskit.errors import LenskitError, UsageError
from lenskit.layers import merge, read_assignment, read_layer, read_recipe
from lenskit.options import options_of
from lenskit.registry import registry
from lenskit.settings import InputSettings, TrainSettings

TOYS = {
    "simulator": {"name": "blobs"},
    "pairs": {"name": "default"},
    "method": {"name": "restless"},
    "backbone": {"name": "tiny"},
}


def toys(**sections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: TOYS.get(name, {}) | sections.get(name, {}) for name in TOYS | sections}


def test_nothing_said_is_the_main_job() -> None:
    config = Config.resolve()
    assert {section: config.name(section) for section in ("simulator", "pairs", "method", "backbone")} == {
        "simulator": "hst",
        "pairs": "lens-fixed",
        "method": "simsiam",
        "backbone": "resnet18",
    }
    assert config.sections["simulator"]["theta_E"] == "uniform(0.8, 1.8)"
    assert config.sections["optimizer"]["lr"] == 0.03
    assert "data" not in config.sections


def test_later_layers_go_over_earlier_ones_option_by_option() -> None:
    config = Config.resolve(
        read_recipe("toys"),
        {"train": {"epochs": 3}, "simulator": {"width": "uniform(2, 4)"}},
        {"train": {"epochs": 5}, "backbone": {"dropout": 0.0}},
    )
    assert config.sections["train"]["epochs"] == 5
    assert config.sections["train"]["lenses"] == 16
    assert config.sections["simulator"] == {"name": "blobs@lenskit-ssl-toys", "width": "uniform(2, 4)", "pixels": 12}
    assert config.sections["backbone"]["dropout"] == 0.0


def test_a_component_that_is_replaced_takes_its_options_with_it() -> None:
    config = Config.resolve(toys(backbone={"dropout": 0.5}), {"backbone": {"name": "resnet18"}})
    assert "dropout" not in config.sections["backbone"]
    again = Config.resolve(toys(backbone={"dropout": 0.5}), {"backbone": {"name": "tiny"}})
    assert again.sections["backbone"]["dropout"] == 0.5


def test_data_take_the_place_of_the_simulator_and_the_other_way_round() -> None:
    data = {"data": {"name": "fits-folder", "path": "images"}}
    stored = Config.resolve(TOYS, data)
    assert "simulator" not in stored.sections
    assert list(stored.sections["data"])[:2] == ["name", "path"]
    live = Config.resolve(stored.sections, {"simulator": {"name": "blobs"}})
    assert "data" not in live.sections
    assert Config.resolve(TOYS, data, {"data": {"path": "others"}}).sections["data"]["path"] == "others"


def resolved() -> list[Config]:
    return [
        Config.resolve(),
        Config.resolve(read_recipe("quickstart")),
        Config.resolve(read_recipe("toys"), {"input": {"size": 32}}),
        Config.resolve(toys(backbone={"name": "timm:resnet10t"})),
        Config.resolve(TOYS, {"data": {"name": "fits-folder", "path": "a folder/with 'quotes' \"and\" ünïcode"}}),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(5))
def test_what_is_resolved_resolves_to_itself(number: int, tmp_path: Path) -> None:
    config = resolved()[number]
    assert Config.resolve(config.sections) == config
    assert Config.resolve(tomllib.loads(config.to_toml())) == config
    (tmp_path / "run.toml").write_text(config.to_toml(), encoding="utf-8")
    assert Config.from_toml(tmp_path / "run.toml") == config


@pytest.mark.slow
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "train": st.fixed_dictionaries(
                {}, optional={"epochs": st.integers(1, 10**6), "seed": st.integers(-(2**60), 2**60)}
            ),
            "optimizer": st.fixed_dictionaries({}, optional={"lr": st.floats(1e-300, 1e3)}),
            "simulator": st.fixed_dictionaries({}, optional={"width": st.floats(0.1, 3) | st.just("normal(2, 0.1)")}),
        },
    )
)
def test_so_does_every_choice_of_values(layer: dict[str, Any]) -> None:
    config = Config.resolve(TOYS, layer)
    assert Config.resolve(tomllib.loads(config.to_toml())) == config
    for section, values in layer.items():
        for name, value in values.items():
            assert config.sections[section][name] in (value, str(value), str(value).removesuffix(".0"))


def test_a_resolved_configuration_holds_every_option() -> None:
    config = Config.resolve(TOYS)
    for section, values in config.sections.items():
        without = {name: value for name, value in values.items() if name != "name"}
        if section in TOYS:
            record = registry().find(section, values["name"])
            assert set(without) == {o.name for o in options_of(record.load()) if o.default is not None}


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"methods": {"name": "simsiam"}}, "unknown section 'methods'; did you mean method"),
        ({"epochs": 3}, "unknown section 'epochs'"),
        ({"method": "simsiam"}, "section 'method' must be a table of options, got 'simsiam'"),
        ({"method": {"name": "simsaim"}}, "unknown method 'simsaim'; did you mean simsiam"),
        ({"method": {"name": 3}}, "section 'method' needs a name, the method to use, got 3"),
        ({"method": {"rate": 1}}, "method 'restless@lenskit-ssl-toys' has no option 'rate'"),
        ({"method": {"noise": "fast"}}, "method 'restless@lenskit-ssl-toys': option noise takes float, got 'fast'"),
        ({"train": {"epochs": 0}}, "section 'train': option epochs takes int >= 1, got 0"),
        ({"train": {"epochs": True}}, "section 'train': option epochs takes int >= 1, got True"),
        ({"train": {"epoch": 3}}, "section 'train' has no option 'epoch': did you mean epochs?"),
        (
            {"input": {"stretch": "log"}},
            "section 'input': option stretch takes str, got 'log' ('log' is none of asinh, zscale, ",
        ),
        ({"simulator": {"width": "uniform(3, 1)"}}, "uniform(3, 1) has low > high: write uniform(1, 3)"),
        ({"data": {"path": "images"}}, "section 'data' needs a name, the reader to use"),
        ({"data": {"name": "fits-folder"}}, "section 'data' needs a path, the file or folder of the data"),
        (
            {"data": {"name": "fits-folder", "path": 3}},
            "section 'data' needs a path, the file or folder of the data, got 3",
        ),
        (
            {"data": {"name": "fits-folder", "path": "x"}, "simulator": {"pixels": 8}},
            "data and simulator exclude each other",
        ),
        ({"backbone": {"name": "timm"}}, "backbone 'timm' needs an argument after a colon: timm:MODEL"),
        (
            {"backbone": {"name": "timm:resnet10t", "model": "resnet14t"}},
            "backbone 'timm:resnet10t' sets model after the colon: remove the option 'model'",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(layer: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        Config.resolve(TOYS, layer)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_options_of_stored_data_do_not_bring_the_simulator_back_unnamed() -> None:
    data = {"data": {"name": "fits-folder", "path": "x"}}
    with pytest.raises(UsageError, match="section 'simulator' needs a name"):
        Config.resolve(TOYS, data, {"simulator": {"pixels": 8}})


def test_builds_settings_and_components() -> None:
    config = Config.resolve(toys(simulator={"width": "uniform(2, 4)"}, train={"epochs": 7}, input={"size": 32}))
    assert config.build("train") == TrainSettings(epochs=7)
    assert config.build("input") == InputSettings(size=32)
    simulator = config.build("simulator")
    assert (str(simulator.width), simulator.pixels) == ("uniform(2, 4)", 16)
    backbone = config.build("backbone", 2, 16)
    assert (backbone.channels, backbone.size) == (2, 16)
    assert config.build("method", backbone).backbone is backbone


def test_builds_by_name_with_a_part_behind_a_colon() -> None:
    backbone = build("backbone", "timm:resnet10t", {}, 1, 32)
    assert backbone.features == 512
    with pytest.raises(UsageError, match="backbone 'tiny' has no option 'dropuot': did you mean dropout"):
        build("backbone", "tiny", {"dropuot": 0.1}, 1, 32)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("method.lr=0.1", 0.1),
        ("method.lr = 1e-3 ", 1e-3),
        ("method.lr=3", 3),
        ("method.lr=true", True),
        ("method.lr=[1, 2]", [1, 2]),
        ('method.lr="0.1"', "0.1"),
        ("method.lr=uniform(0.5, 2.5)", "uniform(0.5, 2.5)"),
        ("method.lr=a=b", "a=b"),
        ("method.lr=../a b.fits", "../a b.fits"),
        ("method.lr=", ""),
    ],
)
def test_an_assignment_is_toml_or_else_text(text: str, value: object) -> None:
    assert read_assignment(text) == {"method": {"lr": value}}


@pytest.mark.parametrize("text", ["", "lr=3", "method.lr", "method.=3", ".lr=3", "=3", "method"])
def test_an_assignment_of_another_form(text: str) -> None:
    with pytest.raises(UsageError, match=r"--set takes SECTION\.OPTION=VALUE, such as train\.epochs=10, got "):
        read_assignment(text)


def test_assignments_of_one_command_line_go_together() -> None:
    layers = map(read_assignment, ["method.lr=1", "method.lr=2", "train.seed=3", "method.name=simsiam"])
    assert merge(layers) == {"method": {"lr": 2, "name": "simsiam"}, "train": {"seed": 3}}
    parts = merge(map(read_assignment, ["pairs.blur.sigma=2", "pairs.blur.radius=3", "pairs.noise.level=1"]))
    assert parts == {"pairs": {"blur": {"sigma": 2, "radius": 3}, "noise": {"level": 1}}}
    with pytest.raises(UsageError, match="unknown section 'metod'"):
        merge([read_assignment("metod.lr=1")])


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r".*nowhere.toml cannot be read: No such file"):
        read_layer(tmp_path / "nowhere.toml")
    with pytest.raises(UsageError, match=".* cannot be read: Is a directory"):
        read_layer(tmp_path)
    (tmp_path / "a.toml").write_text("[train\n")
    with pytest.raises(UsageError, match=r"a.toml is no valid TOML: "):
        read_layer(tmp_path / "a.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"b.toml is no valid TOML: "):
        read_layer(tmp_path / "b.toml")


def test_a_recipe_is_a_name_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[train]\nepochs = 9\n")
    assert read_recipe(str(tmp_path / "mine.toml")) == {"train": {"epochs": 9}}
    assert read_recipe("toys")["backbone"]["name"] == "tiny"
    with pytest.raises(UsageError, match=r"unknown recipe 'toy'; did you mean toys"):
        read_recipe("toy")


def test_a_recipe_of_a_plugin_that_is_not_toml(install: Callable[..., None]) -> None:
    install("acme", "@hookimpl\ndef lenskit_recipes():\n    return [Component('bad', 'json:__init__.py', 'No TOML')]\n")
    with pytest.raises(LenskitError, match="recipe 'bad' is no valid TOML: "):
        read_recipe("bad")


@pytest.mark.parametrize("name", [record.name for record in registry().of_kind("recipe")])
def test_every_recipe_resolves(name: str) -> None:
    assert Config.resolve(read_recipe(name)).sections


def test_the_optimiser_is_the_methods_until_something_is_said() -> None:
    assert Config.resolve().sections["optimizer"]["weight_decay"] == 5e-4
    assert Config.resolve({"optimizer": {"lr": 1}}).sections["optimizer"]["weight_decay"] == 5e-4
    assert Config.resolve({"optimizer": {"name": "adamw"}}).sections["optimizer"]["weight_decay"] == 0.05
    # Options that a layer names together with another method belong to that one; bare ones stay.
    named = {"method": {"name": "simsiam"}, "optimizer": {"lr": 1}}
    assert Config.resolve(named, {"method": {"name": "restless"}}).sections["optimizer"]["lr"] == 0.05
    assert Config.resolve({"optimizer": {"lr": 1}}, {"method": {"name": "restless"}}).sections["optimizer"]["lr"] == 1
    both = Config.resolve(named, {"method": {"name": "restless"}, "optimizer": {"lr": 2}})
    assert both.sections["optimizer"]["lr"] == 2


def test_a_method_with_optimisers_of_its_own_has_no_such_section() -> None:
    assert "optimizer" not in Config.resolve(TOYS, {"method": {"name": "two-optimizers"}}).sections
    with pytest.raises(UsageError, match="method 'two-optimizers@lenskit-ssl-toys' creates its own optimizers"):
        Config.resolve(TOYS, {"method": {"name": "two-optimizers"}, "optimizer": {"lr": 1}})


def test_pairs_are_put_together() -> None:
    config = Config.resolve({"pairs": {"name": "lens-fixed+default", "default": {"blur": 0.25}}})
    assert config.sections["pairs"]["default"]["blur"] == 0.25
    assert config.sections["pairs"]["default"]["jitter"] == 0.8
    assert Config.resolve(tomllib.loads(config.to_toml())) == config
    pairs = config.build("pairs")
    assert (pairs.draws, pairs.views, pairs.shared_groups) == (2, 2, {"lens"})
    with pytest.raises(UsageError, match="pair strategy 'default' has no option 'sigma'"):
        Config.resolve(config.sections, {"pairs": {"default": {"sigma": 1}}})
    with pytest.raises(UsageError, match="pair strategy 'default' takes options, such as"):
        Config.resolve(config.sections, {"pairs": {"default": 3}})


def test_another_method_over_a_recipe_starts_from_its_own_optimiser_and_pairs() -> None:
    recipe = {"method": {"name": "byol"}, "optimizer": {"lr": 9.0}, "pairs": {"name": "default", "blur": 0.1}}
    over = Config.resolve(recipe, {"optimizer": {"lr": 0.1}, "method": {"name": "simsiam"}}).sections
    assert (over["optimizer"]["name"], over["optimizer"]["lr"]) == ("sgd", 0.1)
    assert over["optimizer"]["weight_decay"] == 5e-4
    assert over["pairs"]["blur"] == 0.1
    assert Config.resolve(recipe, {"method": {"name": "supervised"}}).sections["pairs"] == {"name": "single"}
    kept = Config.resolve(recipe, {"method": {"name": "supervised"}, "pairs": {"name": "single+noise"}})
    assert kept.name("pairs") == "single+noise"


def test_naming_the_methods_own_optimiser_changes_nothing() -> None:
    recipe = {"optimizer": {"lr": 9.0, "warmup_epochs": 0}}
    assert Config.resolve(recipe, {"optimizer": {"name": "sgd"}}) == Config.resolve(recipe)


def test_what_a_method_has_beside_it_is_the_lowest_layer() -> None:
    dcae = {"method": {"name": "dcae"}}
    usual = Config.resolve(dcae)
    assert usual.sections["backbone"] == {"name": "deeplense-conv", "last_relu": False}
    assert (usual.sections["input"]["stretch"], usual.sections["input"]["normalise"]) == ("linear", "peak")
    assert usual.name("pairs") == "single"
    assert usual.name("simulator") == "hst"
    for layers in ([dcae, {"input": {"stretch": "zscale"}}], [{"input": {"stretch": "zscale"}}, dcae]):
        inputs = Config.resolve(*layers).sections["input"]
        assert (inputs["stretch"], inputs["normalise"]) == ("zscale", "peak")
    option = Config.resolve(dcae, {"backbone": {"last_relu": True}})
    assert option.sections["backbone"] == {"name": "deeplense-conv", "last_relu": True}
    same = Config.resolve(dcae, {"backbone": {"name": "deeplense-conv"}})
    assert same.sections["backbone"] == usual.sections["backbone"]
    assert Config.resolve(usual.sections) == usual


def test_another_backbone_takes_the_usual_ones_options_with_it() -> None:
    config = Config.resolve({"method": {"name": "dcae"}}, {"backbone": {"name": "tiny", "dropout": 0.1}})
    assert config.sections["backbone"] == {"name": "tiny@lenskit-ssl-toys", "dropout": 0.1, "norm": True}
    assert config.sections["input"]["normalise"] == "peak"


def test_a_method_that_is_replaced_takes_what_it_has_beside_it_with_it() -> None:
    dcae, simsiam = {"method": {"name": "dcae"}}, {"method": {"name": "simsiam"}}
    assert Config.resolve(dcae, simsiam) == Config.resolve()
    assert Config.resolve(simsiam, dcae) == Config.resolve(dcae)
    # Given values stay, whatever the method.
    assert Config.resolve(simsiam, {"backbone": {"name": "tiny"}}, dcae).name("backbone") == "tiny@lenskit-ssl-toys"
    assert Config.resolve(dcae, {"input": {"size": 32}}, simsiam).sections["input"]["size"] == 32


@pytest.mark.parametrize("said", [{}, {"input": {"normalise": "standard"}}])
def test_what_was_said_for_a_method_that_is_replaced_goes_where_either_has_its_own(said: dict[str, Any]) -> None:
    recipe: dict[str, dict[str, Any]] = {
        "method": {"name": "rbm"},
        "backbone": {"name": "rbm-hidden", "hidden": 7},
        "input": {"stretch": "zscale", "normalise": "peak", "size": 150},
    }
    # Neither method has defaults for the backbone and input, so all options stay.
    # After that, the new method has defaults, then the old one, then both.
    byol, simsiam, aae = ({"method": {"name": name}} for name in ("byol", "simsiam", "aae"))
    tiny: dict[str, dict[str, Any]] = {"backbone": {"name": "tiny", "dropout": 0.1}, "input": recipe["input"]}
    kept = Config.resolve(byol | tiny, said, simsiam).sections
    assert (kept["backbone"]["dropout"], kept["input"]["stretch"], kept["input"]["size"]) == (0.1, "zscale", 150)
    for below, over, name, stretch in (
        (byol | tiny, aae, "deeplense-conv", "linear"),
        (recipe, simsiam, "resnet18", Config.resolve().sections["input"]["stretch"]),
        (recipe, aae, "deeplense-conv", "linear"),
    ):
        resolved = Config.resolve(below, said, over).sections
        assert (resolved["backbone"]["name"], resolved["input"]["stretch"]) == (name, stretch)
        assert resolved["input"]["size"] == 150
        assert not said or resolved["input"]["normalise"] == "standard"
    # A backbone in a layer without a method, or with the new method, stays. The same method keeps its options.
    assert Config.resolve(byol | tiny, {"backbone": {"name": "resnet18"}}, aae).name("backbone") == "resnet18"
    assert Config.resolve(recipe, aae | {"backbone": {"name": "tiny"}}).name("backbone") == "tiny@lenskit-ssl-toys"
    assert Config.resolve(recipe, {"method": {"name": "rbm", "k": 2}}).sections["backbone"]["hidden"] == 7


def test_an_option_that_only_the_constructor_refuses_is_one_line() -> None:
    """The toys' dropout has no bounds; torch's layer has."""
    config = Config.resolve({"backbone": {"name": "tiny", "dropout": -1.0}})
    with pytest.raises(
        UsageError, match="^backbone 'tiny@lenskit-ssl-toys' does not accept these options: dropout probability .* -1"
    ):
        config.build("backbone", 1, 12)


PAIRS = """
from lenskit.plugin import Transform

class Faint(Transform):
    def __init__(self, *, factor: float = 0.5) -> None:
        self.factor = factor

    def transform(self, images, parameters, rng):
        return images * self.factor, parameters
"""


def test_the_name_of_a_bundled_component_with_its_distribution_means_the_same() -> None:
    said = {"train": {"epochs": 3}, "method": {"name": "simsiam", "projection_dim": 64}}
    plain, full = (Config.resolve(said, {"method": {"name": name}}) for name in ("simsiam", "simsiam@lenskit-ssl"))
    assert plain == full
    assert full.name("method") == "simsiam"
    assert full.sections["method"]["projection_dim"] == 64  # the same method, so its options stay
    section = {"name": "timm@lenskit-ssl:resnet10t"}
    assert Config.resolve({"backbone": section}).name("backbone") == "timm:resnet10t"


def test_components_of_third_parties_are_recorded_with_their_distribution(install: Callable[..., None]) -> None:
    hooks = "@hookimpl\ndef lenskit_pairs():\n    return [Component(NAME, 'PLUGIN_pairs:Faint', 'Fainter')]\n"
    install("acme", hooks.replace("NAME", "'faint'").replace("PLUGIN", "acme"), acme_pairs=PAIRS)
    first = Config.resolve({"pairs": {"name": "lens-fixed+faint", "faint": {"factor": 0.25}}})
    assert first.name("pairs") == "lens-fixed+faint@lenskit-ssl-acme"
    assert first.sections["pairs"]["faint"] == {"factor": 0.25}
    install("zebra", hooks.replace("NAME", "'faint'").replace("PLUGIN", "zebra"), zebra_pairs=PAIRS)
    with pytest.raises(UsageError, match="pair strategy 'faint' is in 2 plugins"):
        Config.resolve({"pairs": {"name": "lens-fixed+faint"}})
    again = Config.resolve(first.sections)  # a second plugin brings the name, too
    assert again == first
    assert type(again.build("pairs").transforms["faint"]).__module__ == "acme_pairs"
    for key in ("faint", "faint@lenskit-ssl-acme"):  # either name of the table is the same one
        changed = Config.resolve(first.sections, {"pairs": {key: {"factor": 0.75}}})
        assert changed.sections["pairs"] == first.sections["pairs"] | {"faint": {"factor": 0.75}}
    with pytest.raises(UsageError, match="names a part twice"):
        Config.resolve({"pairs": {"name": "lens-fixed+faint@lenskit-ssl-acme+faint@lenskit-ssl-zebra"}})


def test_a_component_with_a_bundled_name_changes_no_default(install: Callable[..., None]) -> None:
    before = [Config.resolve(), Config.resolve(read_recipe("quickstart"))]
    hooks = [
        f"@hookimpl\ndef lenskit_{KINDS[kind]}():\n    return [Component({before[0].name(kind)!r}, 'a:B', 'd')]\n"
        for kind in ("simulator", "pairs", "method", "backbone")
    ]
    recipes = "@hookimpl\ndef lenskit_recipes():\n    return [Component('default', 'nowhere:default.toml', 'd')]\n"
    install("acme", "\n\n".join([*hooks, recipes]))
    assert [Config.resolve(), Config.resolve(read_recipe("quickstart"))] == before
