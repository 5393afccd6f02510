"""The distribution loads fast, quietly and completely."""

from lenskit.testing import PluginContract


class TestPlugin(PluginContract):
    distribution = "lenskit-ssl-survey"
