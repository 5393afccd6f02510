"""The hooks that a plugin implements: one a kind of component, each returning records.

A hook runs whenever lenskit starts, so it (and the module it stands in) imports nothing heavy: records name their
classes by import string.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from lenskit.component import Component

PROJECT = "lenskit"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def lenskit_simulators() -> Iterable[Component]:
    """Simulators: subclasses of `lenskit.plugin.Simulator`, which draw scenes and render images."""
    return ()


@hookspec
def lenskit_datasets() -> Iterable[Component]:
    """Readers of stored images: subclasses of `lenskit.plugin.Dataset`."""
    return ()


@hookspec
def lenskit_pairs() -> Iterable[Component]:
    """Pair strategies: subclasses of `lenskit.plugin.PairStrategy`, which say what the views of a lens share."""
    return ()


@hookspec
def lenskit_methods() -> Iterable[Component]:
    """Methods: subclasses of `lenskit.plugin.Method`, which learn from views through a backbone."""
    return ()


@hookspec
def lenskit_backbones() -> Iterable[Component]:
    """Backbones: subclasses of `lenskit.plugin.Backbone`, which turn images into feature vectors."""
    return ()


@hookspec
def lenskit_encoders() -> Iterable[Component]:
    """Encoders: folders with a card `encoder.json`, named `package:path/of/folder`, or an address with digests."""
    return ()


@hookspec
def lenskit_evaluations() -> Iterable[Component]:
    """Evaluations: subclasses of `lenskit.plugin.Evaluation`, each of which is also a verb `lenskit NAME RUN`."""
    return ()


@hookspec
def lenskit_commands() -> Iterable[Component]:
    """Commands: instances of `click.Command`, each of which is a verb `lenskit NAME` with arguments of its own."""
    return ()


@hookspec
def lenskit_formats() -> Iterable[Component]:
    """Formats: subclasses of `lenskit.plugin.Format` for stores of `lenskit simulate`, of `ImageFormat` for images of
    `lenskit render`, of `FeatureFormat` for features of `lenskit embed`, or of several of these."""
    return ()


@hookspec
def lenskit_instruments() -> Iterable[Component]:
    """Instruments: TOML files, named `package:path/of/instrument.toml`, of what simulators need to know of a camera."""
    return ()


@hookspec
def lenskit_recipes() -> Iterable[Component]:
    """Recipes: TOML files of choices and options, named `package:path/of/recipe.toml`."""
    return ()
