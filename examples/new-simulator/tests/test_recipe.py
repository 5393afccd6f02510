"""Properties of every recipe."""

from lenskit.testing import RecipeContract


class TestDoublePlaneSimSiam(RecipeContract):
    component = "double-plane-simsiam"
