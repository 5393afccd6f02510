"""Hooks that a plugin implements: one for each kind of component.

A hook returns records of components. It runs whenever lenskit starts. So the hook and its module must not import heavy
packages: records name their classes by import string.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from lenskit.component import Component

PROJECT = "lenskit"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Decorator of the hooks of a plugin, such as `lenskit_methods`."""


@hookspec
def lenskit_simulators() -> Iterable[Component]:
    """Return simulators: subclasses of `lenskit.plugin.Simulator`.

    They sample scenes and render images.
    """
    return ()


@hookspec
def lenskit_datasets() -> Iterable[Component]:
    """Return readers of stored images: subclasses of `lenskit.plugin.Dataset`."""
    return ()


@hookspec
def lenskit_pairs() -> Iterable[Component]:
    """Return pair strategies: subclasses of `lenskit.plugin.PairStrategy`.

    They define the parameters that the views of a lens share.
    """
    return ()


@hookspec
def lenskit_methods() -> Iterable[Component]:
    """Return methods: subclasses of `lenskit.plugin.Method`.

    They train a backbone on views.
    """
    return ()


@hookspec
def lenskit_backbones() -> Iterable[Component]:
    """Return backbones: subclasses of `lenskit.plugin.Backbone`.

    They map images to feature vectors.
    """
    return ()


@hookspec
def lenskit_encoders() -> Iterable[Component]:
    """Return encoders: folders with a card `encoder.json`.

    The target is `package:path/of/folder`, or an address with the digest of each file.
    """
    return ()


@hookspec
def lenskit_evaluations() -> Iterable[Component]:
    """Return evaluations: subclasses of `lenskit.plugin.Evaluation`.

    Each evaluation is also a command `lenskit NAME RUN`.
    """
    return ()


@hookspec
def lenskit_commands() -> Iterable[Component]:
    """Return commands: instances of `click.Command`.

    Each is a command `lenskit NAME` with its own arguments.
    """
    return ()


@hookspec
def lenskit_formats() -> Iterable[Component]:
    """Return formats: subclasses of one or several of the three base classes.

    The base classes are `lenskit.plugin.Format` for stores of `lenskit simulate`, `ImageFormat` for images of
    `lenskit render`, and `FeatureFormat` for features of `lenskit embed`.
    """
    return ()


@hookspec
def lenskit_instruments() -> Iterable[Component]:
    """Return instruments: TOML files with the properties of a camera for simulators.

    The target is `package:path/of/instrument.toml`.
    """
    return ()


@hookspec
def lenskit_recipes() -> Iterable[Component]:
    """Return recipes: TOML files with the components and options of a run.

    The target is `package:path/of/recipe.toml`.
    """
    return ()
