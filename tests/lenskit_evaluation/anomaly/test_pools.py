"""Choice of the class label."""

from __future__ import annotations

import pytest

from lenskit.plugin import Parameter, UsageError
from lenskit_evaluation.anomaly.pools import class_label


def test_numbered_classes_are_no_anomalies():
    psf, kind = Parameter("psf", classes=("0", "1", "2")), Parameter("kind", classes=("none", "row"))
    with pytest.raises(UsageError) as caught:
        class_label([psf], None, None, 110)
    assert str(caught.value) == (
        "the classes of psf are plain numbers, not named anomalies: use images with named classes, for example from "
        "--simulator deeplense-a --set pixels=110; if one of these numbers is the normal class, pass --label NAME "
        "--normal NUMBER"
    )
    assert class_label([psf, kind], None, None, 110) is kind
    assert class_label([psf], "psf", None, 110) is class_label([psf], None, "0", 110) is psf
