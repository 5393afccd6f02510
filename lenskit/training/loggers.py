"""Where figures go beside `metrics.jsonl`: TensorBoard, Weights & Biases, MLflow, through Lightning's loggers.

All keep what they hold in the run's folder, and a resumed run goes on in the same curves, over the number of batches
done.
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
"""Project (W&B) or experiment (MLflow) that runs stand in; `WANDB_PROJECT` and `MLFLOW_EXPERIMENT_NAME` change it."""


def check_installed(names: Iterable[str]) -> None:
    """Raises if a logger that is asked for is not installed.

    Raises:
        UsageError: naming it, and how to install it.
    """
    for name in names:
        spec = find_spec(name)
        # A folder of that name, which the logger leaves where it runs, is found too; it has no origin.
        if spec is None or spec.origin is None:
            raise UsageError(f"logger {name!r} is not installed: pip install 'lenskit-ssl[{name}]'")


class Loggers:
    """The loggers of a run, from the batch at which it stands.

    One that fails on the way (a server that is gone) costs a warning, and is left out from there.

    Args:
        names: Which ones.
        run: The run.
        batches: Batches done.
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
        """Writes figures at so many batches done."""
        for name, logger in [*self._loggers.items()]:
            self._guarded(name, lambda logger=logger: logger.log_metrics(dict(figures), step=batches))

    def close(self, status: str) -> None:
        """Ends them; `status` is `success` or `failed`."""
        for name, logger in [*self._loggers.items()]:
            self._guarded(name, lambda logger=logger: logger.finalize(status))
            # Lightning leaves this to the end of the process, and another run of it would go on in the same curves.
            if name == "wandb":
                self._guarded(name, lambda logger=logger: logger.experiment.finish())
        self._loggers = {}

    def _guarded(self, name: str, act: Any) -> None:
        try:
            act()
        except Exception as error:
            self._loggers.pop(name, None)
            reason = " ".join(str(error).split())[:200]
            log.warning("no figures go to %s from here: %s: %s", name, type(error).__name__, reason)


def _tensorboard(run: Run, batches: int) -> Logger:
    from pytorch_lightning.loggers import TensorBoardLogger

    # What a killed run wrote beyond its checkpoint is taken back.
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
