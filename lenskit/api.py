"""Python interface of lenskit: the functions behind `import lenskit`.

Each function does the same as the command of the same name.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lenskit.chosen import build
from lenskit.config import Config, read_layers
from lenskit.data.readers import text_of
from lenskit.embeddings import Embeddings, is_embeddings, may_be_embeddings
from lenskit.encoder import Encoder
from lenskit.encoders.encoder_run import open_run
from lenskit.encoders.named import find_named, not_named
from lenskit.errors import LenskitError, UsageError, meant
from lenskit.exporting.export import export as export_encoder
from lenskit.exporting.timm_folder import is_export, load_export
from lenskit.flags import CHOICES
from lenskit.kinds.evaluation import Evaluation
from lenskit.layers import Layer
from lenskit.naming import parse
from lenskit.options import options_of
from lenskit.registry import registry
from lenskit.rendering.render import Rendering, simulator_for
from lenskit.rendering.table import read_table
from lenskit.results import going_to
from lenskit.run import MARKS, Run
from lenskit.run_summary import unsound
from lenskit.training.resume import resume as resume_run
from lenskit.training.runner import train as train_run
from lenskit.words import listed

log = logging.getLogger("lenskit")

Text = str | PathLike[str]


def train(
    recipe: Text | None = None,
    *,
    config: Text | None = None,
    data: Text | None = None,
    set: Mapping[str, Any] | None = None,
    out: Text | None = None,
    overwrite: bool = False,
    progress: bool = True,
    **choices: Any,
) -> Run:
    """Train an encoder, as `lenskit train` does.

    The same choices give the same weights as on the command line.

    Args:
        recipe: Name or path of the recipe to start from; see `lenskit list recipes`.
        config: Path of a configuration to start from, such as a run's `run.toml`.
        data: Stored images to train on instead of simulated ones, `[READER:]PATH`.
        set: Any options, by `section.option`: `{"simulator.theta_E": "uniform(0.5, 2)", "pairs.noise.level": 1.0}`.
        out: The run directory to create; by default `runs/METHOD-PAIRS`.
        overwrite: Whether to replace an existing run directory.
        progress: Whether to show a progress bar.
        choices: Options that have a flag of `lenskit train`, with underscores: `simulator`, `pairs`, `method`,
            `backbone`, `lenses`, `epochs`, `batch_size`, `lr`, `optimizer`, `seed`, `precision`, `accelerator`,
            `devices` and the other flags of `lenskit train --help`. None means that the option is omitted.

    Returns:
        The run. `Run.finished` is false if an interrupt stopped it.

    Raises:
        UsageError: if a name is unknown, options contradict each other, or a value is wrong.
        LenskitError: if training fails.
    """
    if out is not None and not fspath(out):
        raise UsageError("--out needs the path of the run directory, got an empty text")
    resolved = configuration(recipe, config=config, data=data, set=set, **choices)
    folder = _free_folder(resolved) if out is None else Path(out)
    name = None if recipe is None else fspath(recipe)
    return train_run(resolved, folder, overwrite=overwrite, progress=progress, recipe=name)


def configuration(
    recipe: Text | None = None,
    *,
    config: Text | None = None,
    data: Text | None = None,
    set: Mapping[str, Any] | None = None,
    **choices: Any,
) -> Config:
    """Return the configuration that `train` would use.

    `lenskit train --print-config` prints the same. The arguments are those of `train`.
    """
    from lenskit.data.readers import read_section

    given = {name: value for name, value in choices.items() if value not in (None, ())}
    for name in given:
        if name not in CHOICES:
            hint = meant(name, CHOICES, f"the options are {', '.join(CHOICES)}")
            raise UsageError(f"unknown option {name!r}; {hint}")
    if data is not None and "simulator" in given:
        raise UsageError("--data and --simulator exclude each other: images are stored or simulated")
    flags: list[Layer] = [_flag(name, value) for name, value in given.items()]
    if data is not None:
        flags.append({"data": read_section(fspath(data))})
    recipe, config = (None if path is None else fspath(path) for path in (recipe, config))
    return Config.resolve(*read_layers(recipe, config, flags, set or {}))


def resume(path: Text, *, progress: bool = True, **devices: Any) -> Run:
    """Resume a run that was stopped or killed, as `lenskit train --resume` does.

    Args:
        path: The run directory.
        progress: Whether to show a progress bar.
        devices: Hardware options (`accelerator`, `devices`, `num_nodes`, ...) that differ from the first start.

    Raises:
        LenskitError: if there is nothing to resume, or the checkpoint belongs to a different run.
    """
    return resume_run(Path(path), progress=progress, **devices)


def evaluate(
    evaluation: str,
    runs: Run | Embeddings | Text | Sequence[Run | Embeddings | Text] = (),
    inputs: Sequence[Text] = (),
    **options: Any,
) -> Any:
    """Evaluate runs, as `lenskit EVALUATION RUN...` does.

    Every evaluation has two more options. `output` is the folder to write to, instead of a folder in each run; `embed`,
    `explore`, `predict` and `report` also accept a file. `overwrite` allows two replacements: files that the evaluation
    did not write, and its own results from different settings, data or runs.

    Args:
        evaluation: Name of the evaluation; see `lenskit list evaluations`.
        runs: A run, embeddings, the path of either, the name of an encoder (`lenskit list encoders`), or several of
            these. Some evaluations need none.
        inputs: Further paths, which the command line takes after the run; only for evaluations such as `predict`.
        options: Options of the evaluation, with underscores; see `lenskit info EVALUATION`. Paths may be text or
            `Path`.

    Returns:
        The return value of the evaluation. The results are also written into the runs.

    Raises:
        UsageError: if a name is unknown, or a path is no run.
    """
    subjects = [runs] if isinstance(runs, Run | Embeddings | str | PathLike) else list(runs)
    own = {option.name for option in options_of(registry().find("evaluation", evaluation).load())}
    added = {name: options.pop(name) for name in ("output", "overwrite") if name in options and name not in own}
    options = {name: fspath(value) if isinstance(value, PathLike) else value for name, value in options.items()}
    judge = build("evaluation", evaluation, options)
    if not subjects and not judge.without_runs:
        raise UsageError(f"{evaluation} needs a run")
    for subject in subjects if not judge.tolerant else ():
        path = subject.path if isinstance(subject, Run | Embeddings) else Path(subject)
        if not judge.embeddings and (isinstance(subject, Embeddings) or is_embeddings(path)):
            raise UsageError(f"{evaluation} takes runs, and {path} holds embeddings")
    if judge.tolerant:
        subjects, judge.left_out = _sound(subjects)
    opened = [_open(subject) if isinstance(subject, str | PathLike) else subject for subject in subjects]
    if images := _own_images(judge, opened, options):
        options |= images
        judge = build("evaluation", evaluation, options)
    paths = [fspath(path) for path in inputs]
    with going_to(evaluation, judge, opened, options, paths, **added):
        return judge(opened, paths)


def _own_images(judge: Evaluation, subjects: Sequence[Run | Embeddings], options: Mapping[str, Any]) -> dict[str, str]:
    """Return the option that selects the images on which the first run was trained.

    It is empty if another option selects lenses, or if the run has no stored images.
    """
    name, runs = judge.data_option, [subject for subject in subjects if isinstance(subject, Run)]
    if name is None or not runs or any(options.get(option) for option in (name, "data", "simulator", "set")):
        return {}
    section = runs[0].config.sections.get("data")
    if section is None:
        return {}
    log.info("evaluating on the images of the training: --%s %s", name, text := text_of(section))
    return {name: text}


def _sound(subjects: Sequence[Run | Embeddings | Text]) -> tuple[list[Run | Embeddings | Text], dict[str, str]]:
    """Return the runs that can be opened, and the fault of each damaged run.

    Paths that are no runs are left out, with one warning.

    Raises:
        LenskitError: if no run can be opened; the error of the first path is raised.
    """
    sound: list[Run | Embeddings | Text] = []
    damaged: dict[str, str] = {}
    others: list[str] = []
    first: LenskitError | None = None
    for subject in subjects:
        path = subject.path if isinstance(subject, Run | Embeddings) else Path(subject)
        try:
            run = subject if isinstance(subject, Run) else Run(path)
            if why := unsound(run.path):
                raise LenskitError(f"{path} is {why}")
            sound.append(run)
        except LenskitError as error:
            first = first or error
            if any((path / name).is_file() for name in MARKS):
                damaged[str(path)] = str(error).removeprefix(f"{path}/").removeprefix(f"{path} is ")
            else:
                others.append(str(path))
    if first and not sound:
        raise first
    if others:
        log.warning("left out, because they are not runs: %s", listed(others, 6))
    return sound, damaged


def _open(subject: Text) -> Run | Embeddings:
    """Open a run, embeddings or an encoder by path or name."""
    path = Path(subject)
    return Embeddings.load(path) if may_be_embeddings(path) else open_run(fspath(subject))


def render(
    table: Any,
    simulator: str | None = None,
    *,
    set: Mapping[str, Any] | None = None,
    seed: int = 0,
    ignore: Sequence[str] = (),
) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]]]:
    """Render the lenses of a table, as `lenskit render` does: one image a row.

    Args:
        table: Path of a CSV or JSON file; or a mapping of columns, a list of mappings (one a row), or a DataFrame.
            Columns have the names of the simulator's parameters. A parameter without a column or value is sampled.
        simulator: Name of the simulator; see `lenskit list simulators`. None is the default simulator.
        set: Options of the simulator: `{"simulator.theta_E": "uniform(0.5, 2)"}`, or without the section.
        seed: Random seed of the sampled parameters.
        ignore: Columns to leave out.

    Returns:
        Images (n, channels, height, width), and the recorded values by name, (n,) each: numbers, names of classes, and
        under `name` the names of the images.

    Raises:
        UsageError: if the table cannot be read, or has a value that the simulator does not accept; the message names
            the row and the column.
    """
    options = {name.removeprefix("simulator."): value for name, value in (set or {}).items()}
    if "name" in options:
        raise UsageError("set changes options of the simulator; choose another simulator with simulator=NAME")
    read = read_table(table).without(ignore)
    named = {"name": simulator} if simulator else {}
    rendering = Rendering(read, *simulator_for(read, {"simulator": named | options}), seed)
    images = np.concatenate([part.images for part in rendering])
    return images, {"name": np.array(rendering.names)} | {p.name: rendering.column(p) for p in rendering.parameters}


def load(path: Text) -> Run | Encoder:
    """Open a run, an encoder or an export that lenskit wrote.

    Args:
        path: A run directory gives a `Run`; its folder `best` gives the same run with its best encoder. The folder of
            an encoder, a folder that `lenskit export` wrote for timm, or a file in one of these gives an `Encoder`. If
            there is no such path, the name of an encoder (`lenskit list encoders`) also gives an `Encoder`.

    Raises:
        UsageError: if the path is none of these.
        LenskitError: if the run, encoder or export is damaged.
    """
    if named := find_named(fspath(path)):
        return named.load()
    path = Path(path)
    folder = path.parent if path.is_file() else path
    if path.suffix == ".onnx":
        raise UsageError(f"open {path} with onnxruntime: lenskit loads runs, encoders and exports for timm")
    if (folder / "run.toml").is_file() or (folder.name == "best" and (folder.parent / "run.toml").is_file()):
        return Run(folder)
    if (folder / "encoder.json").is_file():
        return Encoder.load(folder)
    if is_export(folder):
        return load_export(folder)
    if not path.exists():
        raise UsageError(f"there is nothing at {path}{not_named(str(path))}")
    raise UsageError(
        f"{path} is neither a run (run.toml) nor an encoder (encoder.json) nor an export for timm (config.json)"
    )


def export(
    source: Run | Encoder | Text, format: str = "timm", folder: Text | None = None, *, overwrite: bool = False
) -> Path:
    """Write a trained encoder for use without lenskit, as `lenskit export` does.

    Args:
        source: The run or the encoder, or a path or name that `load` opens.
        format: `timm` for safetensors and a JSON card, which timm loads without lenskit; `onnx` for one file with the
            whole encoder, including stretching and resizing.
        folder: Folder to write to; by default `export/FORMAT` in the run.
        overwrite: Whether to replace the files of an earlier export.

    Returns:
        The folder.

    Raises:
        UsageError: if the format is unknown, files would be overwritten, or the backbone is no model of timm.
        LenskitError: if there is no encoder yet, the extra of the format is not installed, or the exported files give
            features that differ from those of the encoder.
    """
    opened = load(source) if isinstance(source, str | PathLike) else source
    return export_encoder(opened, format, None if folder is None else Path(folder), overwrite=overwrite)


def load_encoder(path: Text) -> Encoder:
    """Return the encoder of a path or name that `load` opens."""
    loaded = load(path)
    return loaded if isinstance(loaded, Encoder) else loaded.encoder()


def _flag(name: str, value: Any) -> Layer:
    """Return the configuration layer of an option that has a flag.

    A number of devices becomes a text, as on the command line.
    """
    choice = CHOICES[name]
    return {choice.section: {choice.option: str(value) if choice.kind is str else value}}


def _free_folder(config: Config) -> Path:
    """Return `runs/METHOD-PAIRS`, followed by -2, -3, ... if that path exists."""
    method, *pairs = (parse(name).head for name in (config.name("method"), *config.name("pairs").split("+")))
    path = candidate = Path("runs") / f"{method}-{'+'.join(pairs)}"
    number = 1
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


__all__ = [
    "LenskitError",
    "UsageError",
    "configuration",
    "evaluate",
    "export",
    "load",
    "load_encoder",
    "render",
    "resume",
    "train",
]
