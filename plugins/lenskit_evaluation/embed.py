"""`lenskit embed`: features of images, any number of them, to a file."""

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
"""The file in a folder."""

TELL_EVERY = 30.0
"""Seconds between two lines that say how far it is."""


class Embed(Evaluation):
    """Features of stored images, or of simulated ones that were never trained on, to a file.

    The file is a Zarr group, a Parquet table or numpy's `.npz`, by its ending, or has another format of features that
    `lenskit list formats` names. It holds the backbone's features, the
    projections, each recorded parameter, names, and the number of the lens and of the view that each row shows. Images
    are read and embedded part by part, so that memory does not depend on how many there are.

    Args:
        data: Images to embed, `[READER:]PATH`; without it, lenses of the run's simulator.
        views: Of stored images, whether the first of each lens is embedded, or all.
        projection: Whether the projections are written, too, on which the loss of training acts; by default where the
            run has them.
        lenses: Number of simulated lenses.
        seed: Seed of the simulated lenses.
        simulator: Simulator to use, instead of the run's.
        set: Option of the simulator to change, `OPTION=VALUE`.
        workers: Threads that embed stored images on a CPU, or processes of a local Dask cluster; by default one a
            core.
        dask: Work on a Dask cluster: the address of its scheduler, or `local`. Run and data must be on a disk that its
            workers see.
        output: File to write, or a folder for `features.zarr`, instead of one in the run.
    """

    files: ClassVar[tuple[str, ...]] = ()
    short: ClassVar[dict[str, str]] = {"output": "-o"}

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
            raise UsageError("--views all is for stored images: say which, with --data")
        self.data, self.views, self.projection, self.lenses, self.seed = data, views, projection, lenses, seed
        self.simulator, self.set, self.dask, self.output = simulator, set or [], dask, output
        self.workers = workers or _cores()

    def __call__(self, runs: Sequence[Run], inputs: Sequence[str] = ()) -> dict[str, Embeddings]:
        """Writes each run's embeddings, and returns them by its name."""
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
                    raise UsageError(f"{path} holds the images that are to be embedded: choose another --output")
                threads = 1 if embedder.simulated else self.workers
                submit = on_cluster(client, embedder) if client else on_threads(embedder, threads)
                with submit as (start, ahead):
                    parts = _told(in_order(start, embedder.parts(), ahead), embedder.rows, identities[label])
                    Embeddings.write(path, parts, embedder.rows, overwrite=overwrite)
                stored[label] = Embeddings.load(path)
                shapes = " and ".join(f"{name} {each.shape[1]}" for name, each in stored[label].representations.items())
                log.info("features of %d images (%s) are in %s", embedder.rows, shapes, path)
        return stored

    def _paths(self, named: Mapping[str, Run], identities: Mapping[str, str]) -> dict[str, Path]:
        """Where each run's embeddings go, by its label."""
        path = in_folder(self.output, NAME) if self.output else None
        if self.output and is_embeddings(Path(self.output)):
            path = Path(self.output)  # a folder, in some formats
        if self.output and len(named) > 1 and path == Path(self.output):
            raise UsageError(
                f"--output names one file, but {len(named)} runs are given: leave it out, or give a folder or one run"
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
                log.info("%s has no checkpoint of its method: without projections", run.name)
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
    """Whether a file holds no embeddings of lenskit, or those that a task of this identity made."""
    about = Embeddings.about_in(path)
    return not about or about.get("asked") == identity


def _is_other(identity: str, folder: Path) -> bool:
    """Whether a folder holds embeddings that another task made."""
    return not _may_replace(identity, folder / NAME)


def _told(parts: Iterable[Embeddings], rows: int, identity: str) -> Iterator[Embeddings]:
    """Yield the parts, which record the identity of the task; log the progress now and then."""
    began = told = monotonic()
    done = 0
    for part in parts:
        part.about["asked"] = identity
        yield part
        done += len(part)
        if (now := monotonic()) - told > TELL_EVERY:
            told = now
            log.info("%d of %d images, %.0f a second", done, rows, done / (now - began))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
