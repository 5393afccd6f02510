"""Values that a table can give to a simulator, and errors for all others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lenskit.errors import UsageError
from lenskit.rendering.overrides import givable
from lenskit_toys.components import Blobs

from .conftest import Derived, rendered


def test_what_is_drawn_and_recorded_or_an_option_can_be_given() -> None:
    assert givable(Derived()) == ["plain", "kind", "number", "hidden"]
    assert givable(Blobs()) == ["width"]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"shifted": [1.0]}, "column shifted cannot be set, because derived derives it from other parameters: "),
        ({"inner": [1.0]}, "column inner cannot be set"),
        ({"most": [1.0]}, "column most is not sampled by derived with these options; possible columns: plain, kind"),
        ({"plane": [1.0]}, r"column plane is unknown to derived (did you mean plain?); possible columns: plain, kind"),
        ({"plain": [1.0, np.nan]}, "row 1 (from 0), column plain: nan is not finite"),
        ({"plain": ["one"]}, "row 0 (from 0), column plain: 'one' is not a number"),
        (
            {"kind": ["none", "som"]},
            "row 1 (from 0), column kind: 'som' is not a class (did you mean some?); there are",
        ),
        ({"kind": [3]}, "row 0 (from 0), column kind: 3 is not a class; there are none, some, all"),
        ({"kind": [0.5]}, "row 0 (from 0), column kind: 0.5 is not a class"),
        ({"number": [2, 7]}, "row 1 (from 0), column number: 7 is not possible: from the other values"),
    ],
)
def test_what_cannot_be_given_is_refused_with_its_place(columns: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError) as error:
        list(rendered(columns))
    message = str(error.value).removeprefix("the table").lstrip(":, ")
    assert message.startswith(complaint)
    assert "\n" not in message


def test_a_simulator_can_refuse_values() -> None:
    class Careful(Derived):
        def refuses(self, given):
            for row in (given["plain"] > 5).nonzero().flatten().tolist():
                yield row, "plain", "is not below 5"

    with pytest.raises(UsageError, match=r"^the table, row 2 \(from 0\), column plain: 6 is not below 5$"):
        rendered({"plain": [1, None, 6]}, Careful())
