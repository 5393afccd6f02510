"""Output folders of evaluations, which are checked before any work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from os import PathLike, fspath, path
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lenskit.asked import Asked, asking
from lenskit.data.readers import find_reader
from lenskit.destinations import check_folder, check_free, free_place
from lenskit.errors import UsageError
from lenskit.identity import digest
from lenskit.kinds.evaluation import Evaluation
from lenskit.options import options_of, validate
from lenskit.ownership import RESULTS, listing
from lenskit.registry import registry
from lenskit.run_files import is_run

if TYPE_CHECKING:
    from lenskit.embeddings import Embeddings
    from lenskit.run import Run

NO_INPUTS = ("output", "name", "title", "simulator", "set")
"""Options of evaluations that are never input paths, even if a file has the name of their value."""


@contextmanager
def going_to(
    name: str,
    judge: Evaluation,
    subjects: Sequence[Run | Embeddings],
    options: Mapping[str, Any],
    given: Sequence[str] = (),
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
) -> Iterator[None]:
    """Set the output folders of an evaluation, and record the files that it writes.

    Args:
        name: Name of the evaluation.
        judge: The evaluation.
        subjects: Runs and embeddings to evaluate.
        options: Options of the evaluation. Paths among them are inputs, which are never overwritten.
        given: Further input paths, which are never overwritten.
        output: Folder for the results, in place of a folder in each run. Each of several subjects gets a subfolder.
        overwrite: Whether to replace files that the evaluation did not write.

    Raises:
        UsageError: The folder cannot be used, or an existing file may not be replaced.
        LenskitError: The folder cannot be written.
    """
    if output is not None and not fspath(output):
        raise UsageError("--output must be a folder, got an empty text")
    folder = None if output is None else Path(output)
    tables = [subject.path for subject in subjects if not is_run(subject.path)]
    named = [value for option, value in options.items() if option not in NO_INPUTS]
    read = tuple(dict.fromkeys(paths_of([*given, *named])))
    inputs = tuple(dict.fromkeys([*read, *paths_of(tables)]))
    record = registry().find("evaluation", name)
    evaluation = record.name
    # Without a run, the subjects are the data in the options.
    of = tuple(str(table.resolve()) for table in tables or (() if subjects else inputs))
    wish = Asked(evaluation, folder, overwrite, _labels(subjects), inputs, of, tuple(subjects))
    settings = _settings(judge, options) | ({"inputs": list(given)} if given else {})
    placeless = {name: _without_place(value) for name, value in settings.items() if name not in NO_INPUTS}
    of_what = [[str(path.resolve()) for path in read], [subject.id for subject in subjects]]
    wish = replace(wish, settings=settings, identity=digest(record.recorded, settings | placeless, *of_what))
    with asking(wish):
        if folder:
            check_folder(folder, inputs)
        places = {subject.key: subject.place(evaluation) for subject in subjects}
        if not folder:
            places = {key: free_place(place) for key, place in places.items()}
    with asking(replace(wish, places=places)):
        if twice := [place for place, times in Counter(places.values()).items() if times > 1]:
            raise UsageError(f"the results of two subjects would go to {twice[0]}: choose a folder with --output")
        folders = dict.fromkeys([*places.values(), *([folder] if folder else [])])
        for place in folders if judge.files != () else ():
            check_free(place, judge.files or (RESULTS,))
        with listing(folders, evaluation) if judge.files is None else nullcontext():
            yield


def _settings(judge: Evaluation, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each option except `output`, as plain values."""
    plain = validate(type(judge), options, "the evaluation")[1]
    return {option.name: plain.get(option.name) for option in options_of(type(judge)) if option.name != "output"}


def _without_place(value: Any) -> Any:
    """Reduce `[READER:]PATH[?OPTION=VALUE]` to reader and options.

    So the settings of equal data are equal, however the path is spelled.
    """
    if isinstance(value, list | tuple):
        return [_without_place(each) for each in value]
    if not isinstance(value, str) or not any(True for _ in paths_of([value])):
        return value
    try:
        reader = find_reader(value)[0]
    except UsageError:
        reader = ""  # a file of another kind, such as a table
    return [reader, value.partition("?")[2]]


def _labels(subjects: Sequence[Run | Embeddings]) -> dict[Path, str]:
    """Return a subfolder name for each of several subjects; empty for one subject."""
    labels: dict[Path, str] = {}
    for subject in subjects if len(subjects) > 1 else ():
        name, number = subject.name, 1
        while name in labels.values():
            number += 1
            name = f"{subject.name}-{number}"
        labels[subject.key] = name
    return labels


def paths_of(given: Iterable[Any]) -> Iterator[Path]:
    """Yield existing paths among `[READER:]PATH[?OPTION=VALUE]`."""
    for value in given:
        if isinstance(value, list | tuple):
            yield from paths_of(value)
        elif isinstance(value, str | PathLike):
            text = fspath(value)
            for word in (text, text.partition("?")[0], text.partition("?")[0].partition(":")[2]):
                # A word without the form of a path is not a path, even if a file has this name.
                if word and (path.sep in word or "." in word or ":" in text or path.isdir(word)) and path.exists(word):
                    yield Path(word)
