"""Self-supervised learning on images of strong gravitational lenses.

`lenskit.train`, `lenskit.resume` and `lenskit.load` do the same as the command line; see docs/how-to/python.md. Each
name is imported at its first use, because the import of torch is slow.
"""

from typing import TYPE_CHECKING, Any

from lenskit.version import __version__

if TYPE_CHECKING:
    from lenskit.api import configuration as configuration
    from lenskit.api import evaluate as evaluate
    from lenskit.api import export as export
    from lenskit.api import load as load
    from lenskit.api import render as render
    from lenskit.api import resume as resume
    from lenskit.api import train as train
    from lenskit.embeddings import Embeddings as Embeddings
    from lenskit.encoder import Encoder as Encoder
    from lenskit.errors import LenskitError as LenskitError
    from lenskit.errors import UsageError as UsageError
    from lenskit.estimator import LensEncoder as LensEncoder
    from lenskit.run import Run as Run

_NAMES = {
    "lenskit.api": "configuration evaluate export load render resume train",
    "lenskit.embeddings": "Embeddings",
    "lenskit.encoder": "Encoder",
    "lenskit.errors": "LenskitError UsageError",
    "lenskit.estimator": "LensEncoder",
    "lenskit.run": "Run",
}
"""Names by the module that they are imported from."""

_LAZY = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = ["__version__", *_LAZY]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
