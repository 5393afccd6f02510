"""Tests of `lenskit report`."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from lenskit.api import evaluate
from lenskit.cli.main import run as lenskit
from lenskit.errors import UsageError
from lenskit.evaluation import Run, digest, write_results
from lenskit_evaluation.report.evaluation import Report


class Reader(HTMLParser):
    """Parser that collects headings, cells, sources of pictures, and tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.headings: list[str] = []
        self.sources: list[str] = []
        self.tags: set[str] = set()
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name == "src"]

    def handle_data(self, data: str) -> None:
        if self._in in ("td", "th") and data.strip():
            self.cells.append(data.strip())
        if self._in == "h2" and data.strip():
            self.headings.append(data.strip())


def another(run: Run, path: Path) -> Run:
    """Copy a run and give the copy a new identity."""
    shutil.copytree(run.path, path)
    origin = json.loads((path / "provenance.json").read_text())
    (path / "provenance.json").write_text(json.dumps(origin | {"id": digest(str(path))}))
    return Run(path)


@pytest.fixture
def two(run: Run, tmp_path: Path) -> list[Run]:
    """Two runs, with an evaluation of the first, and an evaluation of both together."""
    runs = [run, another(run, tmp_path / "other")]
    settings = {"seed": 0}
    for name, those in {"probe": runs, "odd <b>": runs[:1]}.items():
        write_results(
            [each.folder(name) for each in those],
            title=f"What {name} found",
            settings=settings,
            results={"figure": np.float64(0.5), "nothing": np.nan},
            table=[{"encoder": each.name, "R2": 0.25} for each in those],
            summary={each.name: {"width R2": 0.25} for each in those},
            subjects={each.name: each for each in those},
            pictures={"bars": Figure(figsize=(1, 1))},
        )
    return runs


@pytest.mark.slow
def test_a_row_a_run_and_a_chapter_an_outcome(two: list[Run], tmp_path: Path, capsys) -> None:
    (tmp_path / "out").mkdir()
    page = tmp_path / "out" / "report.html"
    rows = Report(output=str(page))(two)
    assert [row["run"] for row in rows] == ["blobs", "other"]
    assert [row["probe: width R2"] for row in rows] == [0.25, 0.25]
    assert "odd <b>: width R2" in rows[0]
    assert "odd <b>: width R2" not in rows[1]
    assert rows[0]["batches"] == "2 of 2"
    read = Reader(page.read_text())
    assert read.headings == [
        "Overview", "Configurations where they differ", "Training", "Configurations", "probe: blobs, other",
        "odd <b>: blobs",
    ]  # fmt: skip
    assert read.cells.count("0.250") >= 5  # three in the overview, and one in each table
    # The pictures of a common outcome appear once. The page loads no other resources, and no text became a tag.
    assert len(read.sources) == 3
    assert all(source.startswith("data:image/png;base64,") for source in read.sources)
    assert not {"script", "link", "b"} & read.tags
    assert not re.search(r"https?://", page.read_text())
    assert page.with_suffix(".md").read_text().startswith("# Runs side by side\n\n| run |")
    assert "| blobs |" in page.with_suffix(".md").read_text()
    assert "other" in capsys.readouterr().out


@pytest.mark.slow
def test_the_command_takes_runs_without_evaluations(run: Run, tmp_path: Path, monkeypatch, caplog) -> None:
    caplog.set_level("INFO", "lenskit")
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(run.path / "evaluations", ignore_errors=True)
    assert lenskit(["report", str(run.path), "--title", "<Mine>"]) == 0
    assert "<title>&lt;Mine&gt;</title>" in (tmp_path / "report.html").read_text()
    assert (tmp_path / "report.md").is_file()
    assert "not evaluated yet: blobs" in caplog.text


@pytest.mark.slow
def test_the_best_encoder_has_evaluations_of_its_own(two: list[Run], tmp_path: Path) -> None:
    run = two[0]
    shutil.copytree(run.path / "encoder", run.path / "best", dirs_exist_ok=True)
    card = json.loads((run.path / "best" / "encoder.json").read_text())
    (run.path / "best" / "encoder.json").write_text(json.dumps(card | {"probe": {"score": 0.5}}))
    best = Run(run.path / "best")
    summary = {best.name: {"R2": 0.9}}
    settings = {"seed": 0}
    write_results(
        [best.folder("probe")], title="", settings=settings, results={}, table=[{"a": 1}], summary=summary,
        subjects={best.name: best},
    )  # fmt: skip
    rows = Report(output=str(tmp_path / "a.html"))([run, best])
    assert (rows[0]["probe: width R2"], rows[1]["probe: R2"]) == (0.25, 0.9)
    assert "probe: R2" not in rows[0]


def test_bad_input_is_one_line(two: list[Run], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"name of an HTML file, such as report\.html, got report\.pdf"):
        Report(output="report.pdf")
    with pytest.raises(UsageError, match="there is no folder .*nowhere to write a.html into"):
        Report(output=str(tmp_path / "nowhere" / "a.html"))(two)
    with pytest.raises(UsageError, match="blobs is given twice"):
        Report(output=str(tmp_path / "a.html"))([two[0], two[0]])
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(UsageError, match=r"README\.md exists, .*: choose a different --output"):
        Report(output=str(tmp_path / "README.html"))(two)
    assert (tmp_path / "README.md").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.parametrize("damaged", [b'{"half":', b"\xff\xfe{}"])
def test_results_that_are_damaged_are_left_out(damaged: bytes, two: list[Run], tmp_path: Path, caplog) -> None:
    run = str(two[0].path)
    crowding = ["crowding", run, "--lenses", "20", "--test-lenses", "10"]
    assert lenskit(crowding) == 0
    file = two[0].path / "evaluations" / "crowding" / "results.json"
    whole = file.read_bytes()
    file.write_bytes(damaged)
    (row,) = Report(output=str(tmp_path / "a.html"))([two[0]])
    assert not [name for name in row if name.startswith("crowding")]
    (told,) = [each.message for each in caplog.records if "results.json" in each.message]
    assert told.startswith(f"{file} is damaged: it ")
    assert told.endswith("; the report leaves it out: remove it, or evaluate again with --overwrite")
    assert lenskit([*crowding, "--overwrite"]) == 0
    assert file.read_bytes() == whole


def write_together(runs: dict[str, Run]) -> None:
    """Write an outcome of several runs; the n-th run has R2 = n / 10."""
    write_results(
        [each.folder("probe") for each in runs.values()],
        title="Together",
        settings={},
        results={},
        table=[{"a": 1}],
        summary={label: {"R2": number / 10} for number, label in enumerate(runs)},
        subjects=runs,
    )


@pytest.mark.slow
def test_runs_of_one_name_keep_their_figures_wherever_they_are(run: Run, tmp_path: Path, monkeypatch) -> None:
    runs = [another(run, tmp_path / "deep" / parent / "blobs") for parent in ("a", "b")]
    write_together({"deep/a/blobs": runs[0], "deep/b/blobs": runs[1]})
    (tmp_path / "deep").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved" / "a")
    rows = Report(output=str(tmp_path / "a.html"))([Run("../b/blobs"), Run("blobs")])
    assert [row["probe: R2"] for row in rows] == [0.1, 0.0]


@pytest.mark.slow
def test_runs_that_exchange_their_names_keep_their_figures(two: list[Run], tmp_path: Path) -> None:
    write_together({"blobs": two[0], "other": two[1]})
    for old, new in (("blobs", "third"), ("other", "blobs"), ("third", "other")):
        (tmp_path / old).rename(tmp_path / new)
    rows = Report(output=str(tmp_path / "a.html"))([Run(tmp_path / "blobs"), Run(tmp_path / "other")])
    assert [(row["run"], row["probe: R2"]) for row in rows] == [("blobs", 0.1), ("other", 0.0)]


@pytest.mark.slow
def test_a_copy_is_called_a_copy(two: list[Run], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "lenskit")
    shutil.copytree(two[1].path, tmp_path / "copy")
    rows = Report(output=str(tmp_path / "a.html"))([*two, Run(tmp_path / "copy")])
    assert [row.get("note") for row in rows] == [None, None, "a copy of other"]
    assert rows[2]["probe: width R2"] == 0.25
    (told,) = [each.message for each in caplog.records if each.message.startswith("copy ")]
    assert told == f"copy is a copy of other: both have the identity {two[1].id}"
    read = Reader((tmp_path / "a.html").read_text())
    assert "probe: blobs, other, copy" in read.headings


@pytest.mark.slow
def test_figures_of_runs_of_one_identity_are_not_mixed_up(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path, tmp_path / "other")
    runs = [run, Run(tmp_path / "other")]
    write_together({each.name: each for each in runs})
    rows = Report(output=str(tmp_path / "a.html"))(runs)
    assert [row["probe: R2"] for row in rows] == [0.0, 0.1]
    (renamed,) = Report(output=str(tmp_path / "a.html"))([Run(runs[1].path.rename(tmp_path / "new"))])
    assert "probe: R2" not in renamed


def write_former(run: Run, summary: dict[str, dict[str, float]]) -> None:
    """Write results in the form of an earlier version."""
    former = {
        "title": "R2", "settings": {"runs": list(summary), "lenses": 100}, "summary": summary, "of": [], "pictures": [],
        "table": [{"encoder": "blobs"}], "rows": [], "evaluation": "probe", "files": ["results.json"],
    }  # fmt: skip
    (run.folder("probe") / "results.json").write_text(json.dumps(former))


@pytest.mark.slow
def test_results_of_one_run_of_an_earlier_version_are_of_this_run(run: Run, tmp_path: Path) -> None:
    for label in ("blobs", "blobs, supervised", "/gone/blobs"):
        write_former(run, {label: {"width R2": 0.5}})
        renamed = Run(run.path.rename(tmp_path / "renamed"))
        (row,) = Report(output=str(tmp_path / "a.html"))([renamed])
        assert row["probe: width R2"] == 0.5
        renamed.path.rename(run.path)


@pytest.mark.slow
def test_results_of_several_runs_of_an_earlier_version(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "lenskit")
    write_former(run, {"blobs": {"width R2": 0.5}, "other": {"width R2": 0.6}})
    (row,) = Report(output=str(tmp_path / "a.html"))([run])
    assert row["probe: width R2"] == 0.5
    renamed = Run(run.path.rename(tmp_path / "renamed"))
    (row,) = Report(output=str(tmp_path / "a.html"))([renamed])
    assert "probe: width R2" not in row
    assert f"{renamed.path}/evaluations/probe/results.json does not record which metrics belong to" in caplog.text
    assert "probe: renamed" in Reader((tmp_path / "a.html").read_text()).headings


@pytest.mark.slow
def test_figures_of_different_data_stand_in_columns_of_their_own(two: list[Run], tmp_path: Path) -> None:
    for run, data in zip(two, ("simulated", "slacs"), strict=True):
        write_results(
            [run.folder("probe")],
            title="Alone",
            settings={"data": data},
            results={},
            table=[{"a": 1}],
            summary={run.name: {"R2": 0.5}},
            subjects={run.name: run},
            pictures={"dots": Figure(figsize=(1, 1))},
        )
    # The pictures of the earlier outcome show other lenses.
    assert sorted(path.name for path in two[0].folder("probe").glob("*.png")) == ["dots.png"]
    rows = Report(output=str(tmp_path / "a.html"))(two)
    assert [[name for name in row if name.startswith("probe")] for row in rows] == [
        ["probe (1): R2"],
        ["probe (2): R2"],
    ]


@pytest.mark.slow
@pytest.mark.parametrize("summary", ["[1, 2]", '{"blobs": 0.5}', "null"])
def test_a_strangers_summary_does_no_harm(run: Run, tmp_path: Path, summary: str) -> None:
    (run.folder("odd") / "results.json").write_text(f'{{"summary": {summary}, "table": 3}}')
    assert "odd" not in str(Report(output=str(tmp_path / "a.html"))([run])[0])


def test_figures_for_programs_are_json(two: list[Run]) -> None:
    results = json.loads((two[0].folder("probe") / "results.json").read_text())
    assert (results["figure"], results["nothing"]) == (0.5, None)
    assert results["table"] == [{"encoder": "blobs", "R2": "0.250"}, {"encoder": "other", "R2": "0.250"}]


@pytest.mark.slow
def test_what_is_no_run_is_left_out_and_what_is_damaged_is_a_row(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "README").write_text("mine")
    for name, file in {"[b]broken": "run.toml", "cut": "metrics.jsonl"}.items():
        shutil.copytree(run.path, tmp_path / name)
        (tmp_path / name / file).write_text("{\n{\n")
    monkeypatch.chdir(tmp_path)
    subjects = sorted(Path().iterdir())
    page = tmp_path / "report.html"
    rows = evaluate("report", subjects, output=str(page))
    assert [row["state"] for row in rows] == ["finished", "damaged", "damaged"]
    assert rows[1]["note"].startswith("run.toml is no valid TOML")
    assert rows[2]["note"].startswith("damaged: metrics.jsonl: line 1 holds no metrics")
    assert "left out, because they are not runs: README, notes" in caplog.text
    assert "[b]broken" in page.read_text()
    with pytest.raises(UsageError, match="there is no run directory|is no run directory"):
        evaluate("report", [tmp_path / "notes", tmp_path / "README"], output=str(page))
