"""Labels that images and simulated lenses have in common."""

from __future__ import annotations

import pytest

from lenskit.errors import UsageError
from lenskit.plugin import Parameter
from lenskit_evaluation.transfer.labels import common


def test_common_parameters(caplog: pytest.LogCaptureFixture) -> None:
    width, x = Parameter("width", "arcsec"), Parameter("x", group="source")
    stamp, kind = Parameter("stamp", identity=True), Parameter("kind", classes=("a", "b"))
    simulations = [width, x, stamp, kind]
    assert common("data", [x, width, kind, Parameter("q")], simulations) == [width, x]
    assert common("data", [x, Parameter("width", "px")], simulations, ["x"]) == [x]
    assert not caplog.records
    other = "width has the unit px in data, but the unit arcsec in simulated lenses"
    assert common("data", [x, Parameter("width", "px")], simulations) == [x]
    assert other in caplog.text
    assert "--labels" in caplog.text
    for known, wanted in (([x, Parameter("width", "px")], ["x", "width"]), ([Parameter("width", "px")], [])):
        with pytest.raises(UsageError, match=other):
            common("data", known, simulations, wanted)
    with pytest.raises(UsageError, match="data has the labels q, simulated lenses have width, x: there is no common"):
        common("data", [Parameter("q")], simulations)
    with pytest.raises(UsageError, match="data has no label width: it has x"):
        common("data", [x], simulations, ["width"])
    with pytest.raises(UsageError, match="no continuous parameter kind: they have width, x"):
        common("data", [kind, x], simulations, ["kind"])
