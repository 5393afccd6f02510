"""Names of the files that lenskit writes into a run directory."""

from __future__ import annotations

import re
from pathlib import Path

RUN, ORIGIN = "run.toml", "provenance.json"
"""Files that make a directory a run."""

_WEIGHTS = r"(model\.safetensors|encoder\.json)?"
_WRITTEN = re.compile(
    rf"""run\.toml | provenance\.json | metrics\.jsonl(\.\d+)? | train\.log | run\.lock
    | checkpoints/(last\.ckpt)?
    | (encoder|best)/{_WEIGHTS}
    | export/((timm|onnx)/(model\.safetensors|config\.json|README\.md|encoder\.onnx)?)?
    | tensorboard/(events\.out\.tfevents\.[^/]+|hparams\.yaml)?
    | evaluations/(best/)?embed/features\.npz  # of earlier versions
    | wandb/((offline-)?run-[^/@]+/.* | latest-run@ | debug[^/]*\.log@? | lenskit-id | wandb-resume\.json)?
    | mlflow/(artifacts/.* | mlflow\.db(-\w+)? | lenskit-id)?""",
    re.VERBOSE,
)
_OLD_PART = re.compile(r"((run\.toml|provenance\.json|checkpoints/last\.ckpt)|(encoder|best)/.*)\.part")
"""Partial files, as earlier versions named them."""


def writes(name: str) -> bool:
    """Whether lenskit writes an entry of this name to a run.

    Results of evaluations are not included.
    """
    return bool(_WRITTEN.fullmatch(name) or (_OLD_PART.fullmatch(name) and writes(name.removesuffix(".part"))))


def is_run(path: Path) -> bool:
    """Whether a directory is a run, which may be incomplete."""
    return (path / RUN).is_file() and (path / ORIGIN).is_file()
