"""Version of lenskit, in a separate module that every module may import."""

__version__ = "0.1.0"
"""Version of the installed lenskit."""
