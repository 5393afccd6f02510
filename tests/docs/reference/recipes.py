"""Page of the recipes, from their files and `recipes.toml`."""

from __future__ import annotations

import tomllib
from itertools import starmap
from pathlib import Path
from typing import Any

import lenskit
from lenskit.budget import LIVE_LENSES
from tests.docs.reference.components import bundled
from tests.docs.reference.markdown import DOCS, code, head, stacked, table

PAGE = DOCS / "recipes.md"

MEASURED = Path(__file__).with_name("recipes.toml")

FIELDS = ("hardware", "time", "expected", "measured")
"""Texts that each recipe has; a measured one also has `source`."""

TEXT = """A recipe is a complete configuration with a name. Choose one, and override parts of it with flags:

```sh
lenskit list recipes
lenskit info quickstart
lenskit train --recipe quickstart --print-config
```

The first table has the contents of each recipe, the second its cost and the results to expect. Start with `quickstart`
on a laptop, and with `lensiam` on a GPU; `hst-lens` measures Einstein radii. [The reference](reference/recipes.md) has
the complete files."""

CONTENTS = """## Contents

Lenses are simulated live: each epoch has new ones, unless `--data` names stored images. Images have the given size in
pixels before they enter the network; without one, the size of the simulator or the nearest size that the backbone
accepts.
"""

COST = """## Cost and results

*Not measured*: there is no result of a complete training. No figure is extrapolated. Published figures are of the
paper that the [recipe](reference/recipes.md) names, for its own images. Intervals in brackets are 95 % bootstrap
intervals for one seed, and the lowest and highest value for several seeds. AUC is the area under the ROC curve of
lenses with substructure against lenses without, see [DeepLense](guides/deeplense.md).
"""


def page() -> str:
    """Return the page of the recipes."""
    known = measured()
    names = [*known, *(record.name for record in bundled("recipe") if record.name not in known)]
    contents = table(
        ["recipe", "method", "pairs", "simulator", "backbone", "size", "lenses x epochs", "batch"],
        map(_contents, names),
    )
    costs = table(["recipe", "hardware", "time", "measured", "expected"], starmap(_cost, known.items()))
    cost = stacked(costs, "cost")
    return "\n".join([head("Recipes", TEXT), CONTENTS, f"{contents}\n", COST, f"{cost}\n"])


def measured() -> dict[str, dict[str, str]]:
    """Return the cost and the results of each recipe."""
    return tomllib.loads(MEASURED.read_text(encoding="utf-8"))


def _contents(name: str) -> list[str]:
    config = lenskit.configuration(recipe=name)
    sections: dict[str, Any] = config.sections
    train = sections["train"]
    return [
        f"[{code(name)}](reference/recipes.md#{name})",
        *(_component(section, sections[section]["name"]) for section in ("method", "pairs", "simulator", "backbone")),
        str(sections["input"].get("size", "")),
        f"{train.get('lenses', LIVE_LENSES):,} x {train['epochs']}",
        str(train["batch_size"]),
    ]


def _component(section: str, name: str) -> str:
    return f"[{name}](reference/{section.rstrip('s')}s.md#{name.partition(':')[0]})"


def _cost(name: str, known: dict[str, str]) -> list[str]:
    source = f" ([source]({known['source']}))" if "source" in known else ""
    texts = [known[field] for field in ("hardware", "time", "measured")]
    return [f"[{code(name)}](reference/recipes.md#{name})", *texts, known["expected"] + source]
