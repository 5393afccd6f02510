"""The option `seed` of evaluations."""

from typing import Annotated

from annotated_types import Ge

from lenskit.plugin import at_most

Seed = Annotated[int, Ge(0), at_most(4 * 10**9)]
"""A seed that scikit-learn takes, of 32 bits, even where numbers are added to it."""
