"""All generated pages by path."""

from __future__ import annotations

from pathlib import Path

from tests.docs.reference import cli, components, configuration, python, recipes


def pages() -> dict[Path, str]:
    """Return the text of each generated page."""
    return {
        cli.PAGE: cli.page(),
        configuration.PAGE: configuration.page(),
        recipes.PAGE: recipes.page(),
        **components.pages(),
        **python.pages(),
    }
