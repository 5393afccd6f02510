"""Small sizes for the code blocks of the documentation.

    python tests/docs/small.py train --recipe lensiam      # some batches of few lenses

Options are appended to those of the block, and the last value of an option is the one that is used.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

SIZES: dict[str, dict[str, Any]] = {
    "train": {"lenses": 16, "epochs": 1, "batch-size": 8},
    "simulate": {"lenses": 64, "chunk": 16},
    "benchmark": {"batches": 2, "batch-size": 8},
    "anomaly": {"lenses": 64, "train-lenses": 64, "resamples": 100},
    "embed": {"lenses": 64},
    "explore": {"lenses": 64},
    "finetune": {"labels": 12, "test-lenses": 10, "seeds": 1, "epochs": 2},
    "invariance": {"lenses": 100, "test-lenses": 50},
    "neighbours": {"lenses": 64},
    "package": {"lenses": 100, "test-lenses": 100},
    "probe": {"lenses": 100, "test-lenses": 50},
    "transfer": {"lenses": 100, "test-lenses": 50},
    "umap": {"lenses": 100, "test-lenses": 50},
}
"""Options of each verb for a small size."""

COMPLETE = {"--resume", "--scores", "--print-config", "--help", "-h"}
"""Options that keep a command line as it is."""


def smaller(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of `lenskit` with the sizes of `SIZES`.

    Sizes of stored images and embeddings stay: an evaluation of them gets no number of lenses.
    """
    verb = next((argument for argument in arguments if argument != "evaluate"), "")
    if verb not in SIZES or COMPLETE & set(arguments):
        return list(arguments)
    return [*arguments, *(part for option, value in SIZES[verb].items() for part in (f"--{option}", str(value)))]


def shrink() -> None:
    """Give `lenskit.train` and `lenskit.evaluate` the sizes of `SIZES`."""
    import lenskit

    train, evaluate = lenskit.train, lenskit.evaluate

    def small_train(*arguments: Any, **options: Any) -> Any:
        return train(*arguments, **options | underscored("train"))

    def small_evaluate(evaluation: str, *arguments: Any, **options: Any) -> Any:
        return evaluate(evaluation, *arguments, **options | underscored(evaluation))

    lenskit.train, lenskit.evaluate = small_train, small_evaluate  # type: ignore[assignment]


def underscored(verb: str) -> dict[str, Any]:
    return {option.replace("-", "_"): value for option, value in SIZES.get(verb, {}).items()}


if __name__ == "__main__":
    from lenskit.cli.main import main

    sys.argv[1:] = smaller(sys.argv[1:])
    main()
