"""Loggers of a run's metrics: TensorBoard, Weights & Biases and MLflow.

Lightning's loggers are used, with their files in the run's folder. The x axis of a curve is the number of batches done.
A resumed run continues the same curves.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from typing import Any

from pytorch_lightning.loggers import Logger

from lenskit.errors import UsageError
from lenskit.files import write_atomically
from lenskit.run import Run

log = logging.getLogger("lenskit")

PROJECT = "lenskit"
"""Default project (W&B) or experiment (MLflow). `WANDB_PROJECT` and `MLFLOW_EXPERIMENT_NAME` override it."""


def check_installed(names: Iterable[str]) -> None:
    """Check that the packages of some loggers are installed.

    Raises:
        UsageError: A package is missing. The message gives the command that installs it.
    """
    for name in names:
        spec = find_spec(name)
        # A logger leaves a folder of its name in the working directory, which is found as a module without an origin.
        if spec is None or spec.origin is None:
            raise UsageError(f"logger {name!r} is not installed: pip install 'lenskit-ssl[{name}]'")


class Loggers:
    """Loggers of a run.

    A logger that fails, for example because its server is down, is dropped with a warning.

    Args:
        names: Names of the loggers: `tensorboard`, `wandb` or `mlflow`.
        run: The run.
        batches: Batches done; more than 0 if the run is resumed.
    """

    def __init__(self, names: Iterable[str], run: Run, batches: int) -> None:
        self._loggers: dict[str, Logger] = {}
        for name in names:
            self._guarded(name, lambda name=name: self._open(name, run, batches))

    def _open(self, name: str, run: Run, batches: int) -> None:
        logger = self._loggers[name] = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}[name](
            run, batches
        )
        if batches == 0:
            logger.log_hyperparams(run.config.sections)

    def write(self, batches: int, figures: Mapping[str, float]) -> None:
        """Write metrics at a number of batches done."""
        for name, logger in [*self._loggers.items()]:
            self._guarded(name, lambda logger=logger: logger.log_metrics(dict(figures), step=batches))

    def close(self, status: str) -> None:
        """Close the loggers; `status` is `success` or `failed`."""
        for name, logger in [*self._loggers.items()]:
            self._guarded(name, lambda logger=logger: logger.finalize(status))
            # Otherwise W&B finishes at the end of the process, and a second run in it would continue the same curves.
            if name == "wandb":
                self._guarded(name, lambda logger=logger: logger.experiment.finish())
        self._loggers = {}

    def _guarded(self, name: str, act: Any) -> None:
        try:
            act()
        except Exception as error:
            self._loggers.pop(name, None)
            reason = " ".join(str(error).split())[:200]
            log.warning("logger %s failed and gets no more metrics: %s: %s", name, type(error).__name__, reason)


def _tensorboard(run: Run, batches: int) -> Logger:
    from pytorch_lightning.loggers import TensorBoardLogger

    # Remove the metrics that a killed run wrote after its last checkpoint.
    purge: dict[str, Any] = {"purge_step": batches + 1} if batches else {}
    return TensorBoardLogger(run.path, name="tensorboard", version="", default_hp_metric=False, **purge)


def _wandb(run: Run, batches: int) -> Logger:
    from pytorch_lightning.loggers import WandbLogger

    path = run.path / "wandb" / "lenskit-id"
    path.parent.mkdir(exist_ok=True)
    if not path.is_file():
        write_atomically(path, f"{uuid.uuid4().hex[:12]}\n")
    identity, project = path.read_text().strip(), os.environ.get("WANDB_PROJECT", PROJECT)
    return WandbLogger(name=run.name, save_dir=run.path, id=identity, project=project)


def _mlflow(run: Run, batches: int) -> Logger:
    from pytorch_lightning.loggers import MLFlowLogger

    folder = run.path / "mlflow"
    folder.mkdir(exist_ok=True)
    place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(folder / 'mlflow.db').resolve()}"
    path = folder / "lenskit-id"
    identity = path.read_text().strip() if batches and path.is_file() else None
    logger = MLFlowLogger(
        os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT), run.name, place, run_id=identity,
        artifact_location=str((folder / "artifacts").resolve()),
    )  # fmt: skip
    write_atomically(path, f"{logger.run_id}\n")
    return logger
