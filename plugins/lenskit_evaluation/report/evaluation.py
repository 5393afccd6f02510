"""`lenskit report`: one page that compares runs side by side."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

from lenskit.evaluation import (
    Run,
    check_output,
    compare_runs,
    digest,
    in_folder,
    is_stamped,
    labelled,
    plot_runs,
    show,
    stamp,
    to_markdown,
)
from lenskit.plugin import Evaluation, LenskitError, UsageError
from lenskit.toolbox import Record, as_markdown, checked, load_json, save_figure, shortened, write_atomically
from lenskit_evaluation.report.page import Chapter, page

log = logging.getLogger("lenskit")

FIRST = ("probe", "invariance", "transfer", "finetune", "umap", "anomaly")
"""Order of the evaluations on the page; all other evaluations follow in alphabetical order."""


WHO = ("runs", "subjects")
"""Settings in results of earlier versions that list the runs; they are not options of the evaluation."""


class Outcome(Record):
    """Fields of a `results.json` that the report reads."""

    id: str | None = None
    evaluation: str | None = None
    title: str | None = None
    subjects: dict[str, str] | None = None
    origin: dict[str, Any] | None = None
    settings: dict[str, Any] | None = None
    summary: dict[str, dict[str, Any]] | None = None
    table: list[dict[str, Any]] | None = None
    pictures: list[str] | None = None


FORMER_PAGE = re.compile(r"<!doctype html>.*<style>\n:root \{ color-scheme: light; \}\nbody .*<h1>", re.DOTALL)
FORMER_TABLE = re.compile(r"# [^\n]*\n\n\| run \| state \| recipe \| method \| pairs \| backbone \|")
"""Beginnings of pages and tables of earlier versions, which contain no stamp of lenskit."""


@dataclass
class Finding:
    """Outcome of an evaluation of one or several runs.

    Attributes:
        evaluation: Name of the evaluation, followed by the subfolder of the outcome, if there is one.
        folder: Folder of the outcome.
        results: Content of `results.json`.
        runs: Labels of the runs that contain this outcome.
        title: Name of the evaluation, with a number if runs were evaluated with different settings or data.
    """

    evaluation: str
    folder: Path
    results: Mapping[str, Any]
    runs: list[str] = field(default_factory=list)
    title: str = ""

    @property
    def way(self) -> str:
        """Digest of the settings and the data.

        Only metrics with the same digest can be compared.
        """
        origin = self.results.get("origin")
        # The settings may spell the same data in several ways, but the origin does not.
        left_out = {*WHO, *(("data", "inputs") if origin else ())}
        settings = {key: value for key, value in (self.results.get("settings") or {}).items() if key not in left_out}
        return digest(settings, origin)

    def figures(self, run: Run) -> Mapping[str, Any]:
        """Return the summary metrics of a run.

        An outcome lists its runs by identity. In outcomes of earlier versions, runs are listed by name. If several runs
        with the same identity have different metrics, the name of the run decides.
        """
        summary = self.results.get("summary") or {}
        subjects, settings = self.results.get("subjects"), self.results.get("settings") or {}
        if subjects is None:
            former = next((settings[key] for key in WHO if isinstance(settings.get(key), list)), list(summary))
            subjects = dict.fromkeys(map(str, former), run.id)
        labels = [label for label in summary if subjects.get(label) == run.id]
        if any(summary[label] != summary[labels[0]] for label in labels):
            labels = [label for label in labels if label == run.name]
            if not labels:
                results = self.folder / "results.json"
                log.info("%s does not record which metrics belong to %s: evaluate again", results, run.title)
        return summary[labels[0]] if labels else {}


class Report(Evaluation):
    """Write a report that compares runs, as HTML and Markdown.

    There is one self-contained HTML page, and one table in Markdown.

    The page shows the differences between the configurations, the training curves, and the table and the plots of each
    evaluation of the runs. `lenskit report` shows existing evaluations, including those of plugins, and runs no new
    evaluation. The table has a row for each run with the summary metrics of these evaluations.

    Args:
        output: Page to write, or folder for `report.html`; the table gets the same name with the ending `.md`.
        title: Title of the page.
    """

    files: ClassVar[tuple[str, ...]] = ()
    tolerant: ClassVar[bool] = True
    short: ClassVar[dict[str, str]] = {"output": "-o"}

    def __init__(self, *, output: str = "report.html", title: str = "Runs side by side") -> None:
        self.output, self.title = in_folder(output, "report.html"), title
        self._in_folder = self.output != Path(output)
        if self.output.suffix not in (".html", ".htm"):
            raise UsageError(f"--output takes the name of an HTML file, such as report.html, got {output}")

    def __call__(self, runs: Sequence[Run], inputs: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Write the page and the table, and return the rows of the table."""
        named = labelled(runs)
        if not self._in_folder and not self.output.parent.is_dir():
            raise UsageError(f"there is no folder {self.output.parent} to write {self.output.name} into")
        table = self.output.with_suffix(".md")
        check_output(self.output, ours=lambda path: is_stamped(path) or _is_former(path, FORMER_PAGE))
        if os.path.lexists(table) and not (is_stamped(table) or _is_former(table, FORMER_TABLE)):
            raise UsageError(f"{table} exists, and the table would overwrite it: choose a different --output")
        findings = _findings(named)
        rows = _overview(named, findings)
        for label, first in _copies(named).items():
            log.info("%s is a copy of %s: both have the identity %s", label, first, named[label].id)
            next(row for row in rows if row["run"] == label)["note"] = f"a copy of {first}"
        rows += [{"run": path, "state": "damaged", "note": shortened(why, 200)} for path, why in self.left_out.items()]
        chapters = [Chapter("Overview", [rows]), *_training(list(named.values())), *map(_chapter, findings)]
        self.output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.output, page(self.title, chapters))
        write_atomically(table, f"# {as_markdown(self.title)}\n\n{to_markdown(rows)}\n<!-- {stamp()} -->\n")
        show(_figures_first(rows), self.title, table)
        bare = [label for label in named if not any(label in finding.runs for finding in findings)]
        if bare:
            log.info("not evaluated yet: %s (use `lenskit probe RUN`, for example)", ", ".join(bare))
        log.info("page: %s", self.output)
        log.info("table: %s", table)
        return rows


def _is_former(path: Path, beginning: re.Pattern[str]) -> bool:
    return path.is_file() and bool(beginning.match(path.read_text(encoding="utf-8", errors="replace")))


def _findings(runs: Mapping[str, Run]) -> list[Finding]:
    """Return the outcomes of all evaluations of the runs.

    An outcome that is stored in several runs is listed once.
    """
    unique: dict[tuple[str, str], Finding] = {}
    for label, run in runs.items():
        for file in _results(run):
            try:
                results = load_json(file, where=f"{file} is damaged: it")
            except LenskitError as error:
                log.warning("%s; the report leaves it out: remove it, or evaluate again with --overwrite", error)
                continue
            try:
                checked(results, str(file), Outcome)
            except LenskitError as error:
                # A plugin's evaluation may use the same field names for something else.
                log.warning("%s: the report leaves it out", error)
                continue
            first, *inner = file.parent.relative_to(_evaluations(run)).parts or [""]
            evaluation = "/".join([results.get("evaluation") or first, *inner])
            same = evaluation, results.get("id") or digest(results)
            finding = unique.setdefault(same, Finding(evaluation, file.parent, results))
            finding.runs += [] if label in finding.runs else [label]
    order = {name: number for number, name in enumerate(FIRST)}
    findings = sorted(unique.values(), key=lambda f: (order.get(f.evaluation.split("/")[0], len(FIRST)), f.evaluation))
    for finding in findings:
        ways = list(dict.fromkeys(other.way for other in findings if other.evaluation == finding.evaluation))
        number = f" ({ways.index(finding.way) + 1})" if len(ways) > 1 else ""
        finding.title = finding.evaluation + number
    return findings


def _evaluations(run: Run) -> Path:
    """Return the folder of the evaluations of a run, or of its best encoder."""
    folder = run.path / "evaluations"
    return folder / "best" if run.best else folder


def _results(run: Run) -> Iterator[Path]:
    folder = _evaluations(run)
    for file in sorted(folder.rglob("results.json")):
        if run.best or file.relative_to(folder).parts[0] != "best":
            yield file


def _copies(runs: Mapping[str, Run]) -> dict[str, str]:
    """Return the labels of copied runs, with the label of the original.

    A copy has the same identity as an earlier run in the list.
    """
    first: dict[str, str] = {}
    for label, run in runs.items():
        first.setdefault(run.id, label)
    return {label: first[run.id] for label, run in runs.items() if first[run.id] != label}


def _overview(runs: Mapping[str, Run], findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return a row for each run: configuration, progress and summary metrics."""
    rows = []
    for (label, run), state in zip(runs.items(), compare_runs([r.path for r in runs.values()]).runs, strict=True):
        row: dict[str, Any] = {
            "run": label,
            "state": state.state,
            "recipe": state.recipe or "-",
            "method": state.method,
            "pairs": state.pairs,
            "backbone": state.backbone,
            "batches": f"{state.batches} of {state.of}" if state.of else str(state.batches),
        }
        if run.best:
            row["state"] = "best encoder"
        if state.probe is not None:
            row["best probe while training"] = state.probe
        for finding in findings:
            if label in finding.runs:
                row |= {f"{finding.title}: {name}": _number(value) for name, value in finding.figures(run).items()}
        rows.append(row)
    return rows


def _figures_first(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Move the columns of metrics before the columns of names.

    A terminal shows only the first columns of a wide table.
    """
    columns = dict.fromkeys(column for row in rows for column in row)
    last = [column for column in ("note", "batches", "method", "pairs", "backbone", "recipe") if column in columns]
    order = [*(column for column in columns if column not in last), *last]
    return [{column: row.get(column, "") for column in order} for row in rows]


def _number(value: Any) -> Any:
    return "-" if value is None else value


def _training(runs: Sequence[Run]) -> Iterator[Chapter]:
    """Yield the chapters on the configurations and the training curves.

    The first chapter lists the differences between the configurations.
    """
    paths = list(dict.fromkeys(run.path for run in runs))
    comparison = compare_runs(paths)
    names = [run.path for run in comparison.runs]
    if len(paths) > 1:
        rows = [
            {"option": option, **{name: "-" if v is None else str(v) for name, v in zip(names, values, strict=True)}}
            for option, values in comparison.differences.items()
        ]
        text = "" if rows else "The configurations are the same."
        yield Chapter("Configurations where they differ", [rows] if rows else [], text=text)
    if any(comparison.lines):
        buffer = BytesIO()
        save_figure(plot_runs(comparison), buffer, format="png", dpi=120)
        yield Chapter("Training", [], [("curves", buffer.getvalue())])
    yield Chapter(
        "Configurations",
        folded={str(path): (path / "run.toml").read_text(encoding="utf-8") for path in paths},
    )


def _pictures(finding: Finding) -> list[Path]:
    """Return the paths of the plots that an outcome lists.

    If the outcome has no list, return all PNG files in its folder.
    """
    named = finding.results.get("pictures")
    if named is None:
        return sorted(finding.folder.glob("*.png"))
    files = [finding.folder / Path(name).name for name in named]
    return [file for file in files if file.is_file()]


def _chapter(finding: Finding) -> Chapter:
    """Return the chapter of an outcome, with its table and its plots."""
    table, about = finding.results.get("table"), finding.results.get("title")
    settings = finding.results.get("settings")
    return Chapter(
        f"{finding.title}: {', '.join(finding.runs)}",
        [table] if table else [],
        [(file.stem, file.read_bytes()) for file in _pictures(finding)],
        text=f"{about}." if about else "",
        folded={"settings": json.dumps(settings, indent=1)} if settings else {},
    )
