"""Base classes and helpers for components of plugins.

A plugin is a distribution with an entry point in the group `lenskit.plugins` that names a module of hooks:

```python
from lenskit.plugin import Component, hookimpl

@hookimpl
def lenskit_pairs():
    return [Component("speckle", "my_plugin.pairs:Speckle", "Views with independent speckle noise")]
```

The module `my_plugin.pairs` defines a subclass of the base class of the kind:

```python
from lenskit.plugin import Transform
```

`Component`, `hookimpl` and the errors are cheap to import. Every other name is imported at its first use, because the
import of torch is slow. Runs, lens sets and results for evaluations are in `lenskit.evaluation`. Helpers for files,
images and messages are in `lenskit.toolbox`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lenskit.component import Component
from lenskit.errors import LenskitError, UsageError, meant, near
from lenskit.facade import loaded, modules_in
from lenskit.hookspecs import hookimpl

if TYPE_CHECKING:
    from lenskit.distributions import Distribution as Distribution
    from lenskit.embeddings.feature_format import FeatureFormat as FeatureFormat
    from lenskit.generator import KeyedGenerator as KeyedGenerator
    from lenskit.kinds.backbone import Backbone as Backbone
    from lenskit.kinds.dataset import Dataset as Dataset
    from lenskit.kinds.evaluation import Evaluation as Evaluation
    from lenskit.kinds.method import Budget as Budget
    from lenskit.kinds.method import Method as Method
    from lenskit.kinds.method import Predictor as Predictor
    from lenskit.kinds.method import Reconstructor as Reconstructor
    from lenskit.kinds.method import Scorer as Scorer
    from lenskit.kinds.pairs import Batch as Batch
    from lenskit.kinds.pairs import PairStrategy as PairStrategy
    from lenskit.kinds.pairs import Transform as Transform
    from lenskit.kinds.parameter import Parameter as Parameter
    from lenskit.kinds.simulator import Scene as Scene
    from lenskit.kinds.simulator import Simulator as Simulator
    from lenskit.options import at_most as at_most
    from lenskit.rendering.image_format import ImageFormat as ImageFormat
    from lenskit.store.format import Format as Format

_MODULES = modules_in(__file__)

__all__ = ["Component", "LenskitError", "UsageError", "hookimpl", "meant", "near", *_MODULES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    return loaded(name, __name__, _MODULES)


def __dir__() -> list[str]:
    return sorted(__all__)
