"""Contracts of components, as test classes for plugins.

Each kind has a class of tests. A subclass names a component, and pytest runs the tests:

```python
from lenskit.testing import SimulatorContract

class TestRings(SimulatorContract):
    component = "rings"
    options = {"pixels": 32}
```

`PluginContract` tests a whole distribution. `lenskit plugin check` runs the same tests without pytest. A failed test
names the component, the fault, and the file and line to change.
"""

from lenskit.testing.backbone import BackboneContract
from lenskit.testing.command import CommandContract
from lenskit.testing.contract import Breach, Contract
from lenskit.testing.dataset import DatasetContract
from lenskit.testing.encoder import EncoderContract
from lenskit.testing.evaluation import EvaluationContract
from lenskit.testing.format import FormatContract
from lenskit.testing.instrument import InstrumentContract
from lenskit.testing.method import MethodContract
from lenskit.testing.pairs import PairsContract
from lenskit.testing.plugin import PluginContract
from lenskit.testing.recipe import RecipeContract
from lenskit.testing.simulator import SimulatorContract

__all__ = [
    "BackboneContract",
    "Breach",
    "CommandContract",
    "Contract",
    "DatasetContract",
    "EncoderContract",
    "EvaluationContract",
    "FormatContract",
    "InstrumentContract",
    "MethodContract",
    "PairsContract",
    "PluginContract",
    "RecipeContract",
    "SimulatorContract",
]
