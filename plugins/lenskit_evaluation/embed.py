"""`lenskit embed`: write the features of any number of images to a file."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Annotated, ClassVar, Literal
from uuid import uuid4

from annotated_types import Ge

from lenskit.evaluation import (
    Embeddings,
    EncoderRun,
    Run,
    Seed,
    absolute_spec,
    asked,
    check_one_source,
    check_output,
    connected,
    digest,
    free_place,
    in_folder,
    is_embeddings,
    labelled,
)
from lenskit.plugin import Evaluation, UsageError, at_most
from lenskit_evaluation.embed_worker import EmbedWorker, Task, in_order, on_cluster, on_threads

log = logging.getLogger("lenskit")

NAME = "features.zarr"
"""Name of the file, if `--output` is a folder or is omitted."""

TELL_EVERY = 30.0
"""Seconds between two log lines that report the progress."""


class Embed(Evaluation):
    """Write the features of stored or newly simulated images to a file.

    The simulated lenses are never used in training. The ending of the file name chooses the format: a Zarr group, a
    Parquet table, a numpy file `.npz`, or any format of features that `lenskit list formats` lists. The file holds the
    features of the backbone, the projections and each recorded parameter. It also holds the name, the lens number and
    the view number of each image. Images are read and embedded in parts, so that memory does not grow with the number
    of images.

    Args:
        data: Images to embed, `[READER:]PATH`; by default those of the run's training, stored or simulated.
        views: Images of each stored lens to embed: the `first`, or `all`.
        projection: Whether to also write the projections, which the training loss acts on; by default, if the run has
            projections.
        lenses: Number of simulated lenses.
        seed: Random seed of the simulated lenses.
        simulator: Simulator to use instead of the run's.
        set: Option of the simulator to override, `OPTION=VALUE`.
        workers: Number of threads that embed stored images on a CPU, or of processes in a local Dask cluster; by
            default one per core.
        dask: Dask cluster to use: the address of the scheduler, or `local`. The workers need access to the files of the
            run and of the data.
        output: File to write, or folder for `features.zarr`; by default a folder in the run.
    """

    files: ClassVar[tuple[str, ...]] = ()
    short: ClassVar[dict[str, str]] = {"output": "-o"}
    data_option: ClassVar[str | None] = "data"

    def __init__(
        self,
        *,
        data: str | None = None,
        views: Literal["first", "all"] = "first",
        projection: bool | None = None,
        lenses: Annotated[int, Ge(1), at_most(10**9)] = 1000,
        seed: Seed = 0,
        simulator: str | None = None,
        set: list[str] | None = None,
        workers: Annotated[int, Ge(1), at_most(1024)] | None = None,
        dask: str | None = None,
        output: str | None = None,
    ) -> None:
        check_one_source(data, simulator, set)
        if views == "all" and not data:
            raise UsageError("--views all is for stored images: add --data PATH")
        self.data, self.views, self.projection, self.lenses, self.seed = data, views, projection, lenses, seed
        self.simulator, self.set, self.dask, self.output = simulator, set or [], dask, output
        self.workers = workers or _cores()

    def __call__(self, runs: Sequence[Run], inputs: Sequence[str] = ()) -> dict[str, Embeddings]:
        """Write the embeddings of each run, and return them by the label of the run."""
        overwrite = asked().overwrite
        named = labelled(runs)
        tasks = {label: self._task(run) for label, run in named.items()}
        identities = {
            label: digest(named[label].id, asdict(replace(task, run="", token=""))) for label, task in tasks.items()
        }
        paths = self._paths(named, identities)
        for label, path in paths.items():
            Embeddings.check_path(path, overwrite=overwrite)
            check_output(path, ours=partial(_may_replace, identities[label]))
        stored = {}
        with ExitStack() as stack:
            client = stack.enter_context(connected(self.dask, self.workers)) if self.dask else None
            for label, path in paths.items():
                embedder = EmbedWorker(tasks[label])
                if self.output and embedder.reads(path):
                    raise UsageError(f"{path} holds the images to embed: choose a different --output")
                threads = 1 if embedder.simulated else self.workers
                submit = on_cluster(client, embedder) if client else on_threads(embedder, threads)
                with submit as (start, ahead):
                    parts = _reported(in_order(start, embedder.parts(), ahead), embedder.rows, identities[label])
                    Embeddings.write(path, parts, embedder.rows, overwrite=overwrite)
                stored[label] = Embeddings.load(path)
                shapes = " and ".join(f"{name} {each.shape[1]}" for name, each in stored[label].representations.items())
                log.info("features of %d images (%s) are in %s", embedder.rows, shapes, path)
        return stored

    def _paths(self, named: Mapping[str, Run], identities: Mapping[str, str]) -> dict[str, Path]:
        """Return the path of each run's embeddings, by the label of the run."""
        path = in_folder(self.output, NAME) if self.output else None
        if self.output and is_embeddings(Path(self.output)):
            path = Path(self.output)  # some formats store embeddings in a folder
        if self.output and len(named) > 1 and path == Path(self.output):
            raise UsageError(
                f"--output names one file, but there are {len(named)} runs: omit --output, or pass a folder or one run"
            )
        if path is None:
            return {
                label: free_place(run.place("embed"), partial(_is_other, identities[label])) / NAME
                for label, run in named.items()
            }
        if len(named) == 1:
            return dict.fromkeys(named, path)
        return {label: path.parent / label.replace("/", "-") / NAME for label in named}

    def _task(self, run: Run) -> Task:
        projection = self.projection
        if projection is None:
            projection = not run.best and run.checkpoint.is_file()
            if not projection and not isinstance(run, EncoderRun):
                log.info("%s has no checkpoint of its method: no projections are written", run.name)
        data = absolute_spec(self.data) if self.data else None
        return Task(
            run=run.address,
            projection="wanted" if self.projection else "if any" if projection else "none",
            data=data,
            all_views=self.views == "all",
            lenses=self.lenses,
            seed=self.seed,
            simulator=self.simulator,
            changes=tuple(self.set),
            token=uuid4().hex,
        )


def _may_replace(identity: str, path: Path) -> bool:
    """Whether a task with this identity may overwrite a file.

    This is allowed if the same task wrote the file, or if the file holds no embeddings of lenskit.
    """
    about = Embeddings.about_in(path)
    return not about or about.get("asked") == identity


def _is_other(identity: str, folder: Path) -> bool:
    """Whether a folder holds the embeddings of a different task."""
    return not _may_replace(identity, folder / NAME)


def _reported(parts: Iterable[Embeddings], rows: int, identity: str) -> Iterator[Embeddings]:
    """Record the identity of the task in each part, yield it and log the progress."""
    began = logged = monotonic()
    done = 0
    for part in parts:
        part.about["asked"] = identity
        yield part
        done += len(part)
        if (now := monotonic()) - logged > TELL_EVERY:
            logged = now
            log.info("%d of %d images, %.0f per second", done, rows, done / (now - began))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
