"""Result files of evaluations: metrics for programs, tables, and plots."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from matplotlib.figure import Figure

from lenskit.asked import asked
from lenskit.contracts.evaluation import check_results
from lenskit.destinations import check_free
from lenskit.drawing import save_figure
from lenskit.embeddings import Embeddings
from lenskit.evaluations.subjects import Subject, labelled
from lenskit.evaluations.tables import TableRows, as_text, show, to_csv, to_markdown
from lenskit.files import write_atomically
from lenskit.identity import digest
from lenskit.ownership import listed_in, write_list
from lenskit.registry import registry
from lenskit.words import as_markdown

log = logging.getLogger("lenskit")

RESULT_FILES = ("results.json", "table.md", "table.csv")
"""Files that `write_results` writes in addition to pictures."""

FEW = 4
"""Maximum number of pictures whose paths are logged one by one."""

Content = str | bytes | Callable[[IO[bytes]], object]
"""Types of content that `write_atomically` takes."""


def write_results(
    folders: Sequence[Path],
    *,
    title: str,
    settings: Mapping[str, Any],
    results: Mapping[str, Any],
    table: TableRows,
    long: TableRows = (),
    more: Mapping[str, TableRows] | None = None,
    summary: Mapping[str, Mapping[str, float]] | None = None,
    pictures: Mapping[str, Figure] | None = None,
    subjects: Mapping[str, Subject] | None = None,
    origin: Mapping[str, Any] | None = None,
    files: Sequence[Mapping[str, Content]] = (),
) -> None:
    """Write the results of an evaluation into each folder, and print the table.

    The files are `results.json`, `table.md`, `table.csv` and a PNG for each picture. `lenskit report` shows these files
    for every evaluation.

    Args:
        folders: Folders to write to, which are created if they do not exist: `run.folder(NAME)` of each run.
        title: Title of the table, in one line.
        settings: Settings that the results depend on. The options of the evaluation are always recorded and need not
            be repeated.
        results: Metrics and other results; NaN becomes null.
        table: Rows for people.
        long: Rows for programs, in `table.csv`; by default the same as `table`.
        more: Further tables for people by title; they follow the first table in `table.md`.
        summary: Main metrics by name, such as `{"theta_E R2": 0.889}`, for each subject by label. `lenskit report`
            collects the metrics of all evaluations in one row for each run.
        pictures: Matplotlib figures by file name, without the suffix.
        subjects: The evaluated runs and embeddings, by the labels in `summary`. By default the runs of the command,
            with the labels of `labelled`.
        origin: Origin of the lenses, from `simulated_origin` or `stored_origin`.
        files: Further files for each folder, by name.

    `results.json` lists all files that are written. Files that earlier results of the same settings and subjects list
    are replaced. All other files stay.

    Raises:
        LenskitError: A table, a metric of the summary or a picture has the wrong type. Nothing is written.
        UsageError: A file with one of these names exists, and no earlier results list it. Nothing is written.
    """
    wish = asked()
    judge = registry().named("evaluation", wish.evaluation)[0].origin if wish.evaluation else "the evaluation"
    every = {title: table, **({f"{title}, for programs": long} if long else {}), **(more or {})}
    check_results(judge, every, summary or {}, pictures or {})
    # Plot before anything is written, so that a failure leaves no incomplete results.
    drawn = {f"{name}.png": _png(figure) for name, figure in (pictures or {}).items()}
    subjects = labelled(wish.judged) if subjects is None else subjects
    # If the evaluation was not started by lenskit and passes no `subjects`, the subjects are unknown.
    ids = {label: subject.id for label, subject in subjects.items()} or None
    embedded = {label: subject for label, subject in subjects.items() if isinstance(subject, Embeddings)}
    images = {label: each.about["images"] for label, each in embedded.items() if "images" in each.about}
    where = {**(origin or {}), **({"embeddings": images} if images else {})}
    facts = {
        "title": title,
        "settings": {**wish.settings, **settings},
        "origin": where,
        "subjects": ids,
        "summary": summary or {},
        "table": as_text(table),
    }
    own = {name for each in files for name in each}
    names = [*RESULT_FILES, *drawn, *own]
    command = {"evaluation": wish.evaluation, "asked": wish.identity, "of": wish.subjects}
    plain = plain_values({**results, **facts, **command, "pictures": list(drawn), "files": sorted(names)})
    tables = {title: table, **(more or {})}
    content: dict[str, Content] = {
        "results.json": json.dumps({"id": digest(plain), **plain}, indent=1) + "\n",
        "table.md": "\n".join(f"{as_markdown(t)}.\n\n{to_markdown(rows)}" for t, rows in tables.items()),
        "table.csv": to_csv(long or table),
        **drawn,
    }
    # With --output, write the common files of several subjects only once.
    shared = [wish.output] if wish.output and len(folders) > 1 else list(folders)
    each_own = dict(zip(folders, files, strict=True)) if files else {}
    places = {folder: (content if folder in shared else {}) | dict(each_own.get(folder, {})) for folder in
              [*shared, *(folder for folder in folders if folder not in shared)]}  # fmt: skip
    for folder, contents in places.items():
        check_free(folder, contents)
    for folder, contents in places.items():
        if not contents:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        _remove_former(folder, names)
        if "results.json" not in contents:
            write_list(folder, contents, wish.evaluation)
        # The list of files comes first, so that a command that was killed can be repeated.
        for name, data in contents.items():
            write_atomically(folder / name, data)
    for name, rows in tables.items():
        show(rows, name, shared[0] / "table.md")
    log.info("table: %s", shared[0] / "table.md")
    if len(drawn) > FEW:
        log.info("%d pictures: %s", len(drawn), shared[0] / "*.png")
    else:
        for name in drawn:
            log.info("picture: %s", shared[0] / name)


def _png(figure: Figure) -> bytes:
    file = BytesIO()
    save_figure(figure, file, format="png", dpi=120)
    return file.getvalue()


def _remove_former(folder: Path, names: Sequence[str]) -> None:
    """Remove files of earlier results: old pictures would not match the new table."""
    for name in listed_in(folder, asked().evaluation, RESULT_FILES[:1]) - {*names}:
        if name == Path(name).name and not (folder / name).is_dir():
            (folder / name).unlink(missing_ok=True)


def plain_values(value: Any) -> Any:
    """Return a value as JSON values: lists for arrays, and None for NaN and infinity."""
    if isinstance(value, Mapping):
        return {str(key): plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_values(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain_values(value.tolist())
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
