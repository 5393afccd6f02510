"""Simulation to disk: content, kills at any moment, several writers, bad input."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from lenskit.chosen import build
from lenskit.cli.main import run as lenskit
from lenskit.data.training_set import SimulatedTrainingSet
from lenskit.errors import LenskitError, UsageError
from lenskit.preprocessing.preprocess import Preprocess
from lenskit.store.chunk_locks import Claims
from lenskit.store.formats import format_name, open_format
from lenskit.store.plan import Plan, simulator_of
from lenskit.store.render import Renderer
from lenskit.store.simulate import begin, simulate
from lenskit.store.store import Store, is_store, open_array

from .conftest import ended, forked, tree, wait_until

Make = Callable[..., Plan]
OUT = {"zarr": "pairs.zarr", "fits": "pairs", "hdf5": "pairs.h5"}


def images(path: Path) -> np.ndarray:
    store = Store(path)
    return np.concatenate([store.read(chunk) for chunk in range(store.plan.chunks)])


def test_what_is_stored_is_what_training_would_have_seen(plan: Make, tmp_path: Path) -> None:
    wanted = plan(lenses=10)
    simulate(wanted, tmp_path / "pairs.zarr")
    simulator = simulator_of(wanted.configuration["simulator"])
    live = SimulatedTrainingSet(simulator, build("pairs", "lens-fixed", {}), Preprocess(stretch="linear"), seed=5)
    batch = live.batch(live.fetch(torch.arange(10)))
    torch.testing.assert_close(torch.from_numpy(images(tmp_path / "pairs.zarr")), torch.stack(batch.views, 1))
    store = Store(tmp_path / "pairs.zarr")
    for parameter in store.parameters:
        values = store.values(parameter)
        assert values.shape == ((10,) if parameter.group == "lens" else (10, 2))
        np.testing.assert_array_equal(values.reshape(10, -1), batch.parameters[parameter.name][:, : values.size // 10])


def test_chunks_and_dtype_do_not_change_the_images(plan: Make, tmp_path: Path) -> None:
    for name, settings in {"a": {"chunk": 4}, "b": {"chunk": 16}, "c": {"dtype": "float16"}}.items():
        simulate(plan(**settings), tmp_path / name)
    a, b, c = (images(tmp_path / name) for name in "abc")
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert c.dtype == np.float16
    np.testing.assert_array_equal(c, a.astype(np.float16))


def test_views_are_as_many_as_the_pairs_want_unless_said(plan: Make, tmp_path: Path) -> None:
    simulate(plan(pairs="single"), tmp_path / "one.zarr")
    simulate(plan(views=3), tmp_path / "three.zarr")
    assert images(tmp_path / "one.zarr").shape == (10, 1, 1, 8, 8)
    assert images(tmp_path / "three.zarr").shape == (10, 3, 1, 8, 8)
    np.testing.assert_array_equal(images(tmp_path / "one.zarr")[:, 0], images(tmp_path / "three.zarr")[:, 0])


@pytest.mark.slow
@pytest.mark.parametrize(("format", "step"), [("zarr", 4), ("fits", 7), ("hdf5", 4)])
def test_a_kill_before_a_file_operation_loses_nothing(plan: Make, tmp_path: Path, format: str, step: int) -> None:
    """Kill a run before each step-th file operation, check its files, and finish it."""
    wanted = plan(lenses=3, chunk=2)
    simulate(wanted, tmp_path / "whole" / OUT[format], format=format)
    whole = _content(tmp_path / "whole")
    folder = tmp_path / "killed"
    out, operation, status = folder / OUT[format], 0, -signal.SIGKILL

    def work() -> None:
        _kill_before(operation, folder)
        simulate(wanted, out, format=format)

    while status:
        status = ended(forked(work))
        assert status in (0, -signal.SIGKILL)
        if format == "zarr" and is_store(out):
            for chunk in set(range(wanted.chunks)) - set(Store(out).missing()):
                name = f"{OUT[format]}/images/c.{chunk}.0.0.0.0"
                assert (folder / name).read_bytes() == whole[name]
        simulate(wanted, out, format=format)
        assert _content(folder) == whole
        shutil.rmtree(folder)
        operation += step
    assert operation > 2 * step


def _content(folder: Path) -> dict[str, Any]:
    """Return files as bytes, and HDF5 files as their arrays and attributes.

    Old versions of HDF5 leave arbitrary bytes in padding.
    """
    found: dict[str, Any] = dict(tree(folder))
    for name in [name for name in found if name.endswith(".h5")]:
        with h5py.File(folder / name) as file:
            arrays = {key: (value.dtype.str, value.shape, value[()].tobytes()) for key, value in file.items()}
            found[name] = arrays, {key: str(value) for key, value in file.attrs.items()}
    return found


def _kill_before(number: int, folder: Path) -> None:
    """Kill this process before its number-th file operation in a folder.

    Operations are opening, renaming, creating and removing.
    """
    left = number

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir") and str(arguments[0]).startswith(
            str(folder)
        ):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


@pytest.mark.slow
def test_many_kills_while_two_others_work(plan: Make, tmp_path: Path) -> None:
    wanted = plan(lenses=300, chunk=4)
    simulate(wanted, tmp_path / "whole" / "pairs.zarr")
    out = tmp_path / "killed" / "pairs.zarr"
    generator = np.random.default_rng(1)
    for _ in range(6):
        victims = [forked(lambda: simulate(wanted, out)) for _ in range(2)]
        time.sleep(generator.uniform(0.02, 0.1))
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        assert all(ended(victim) in (0, -signal.SIGKILL) for victim in victims)
    workers = [forked(lambda: simulate(wanted, out)) for _ in range(3)]
    os.kill(workers[0], signal.SIGKILL)
    assert [ended(worker) for worker in workers[1:]] == [0, 0]
    ended(workers[0])
    simulate(wanted, out)
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")


def test_a_fellow_that_was_killed_has_its_chunk_made_by_another(plan: Make, tmp_path: Path) -> None:
    """Another process waits for the chunk, and makes it when the first one is killed."""
    wanted = plan(lenses=8)
    stopped = forked(lambda: (_stop_in_rendering(), simulate(wanted, tmp_path / "pairs.zarr")))
    os.waitpid(stopped, os.WUNTRACED)
    fellow = forked(lambda: simulate(wanted, tmp_path / "pairs.zarr"))
    wait_until(lambda: Store(tmp_path / "pairs.zarr").missing() == [0])
    time.sleep(0.2)
    assert os.waitpid(fellow, os.WNOHANG) == (0, 0)
    os.kill(stopped, signal.SIGKILL)
    assert (ended(stopped), ended(fellow)) == (-signal.SIGKILL, 0)
    assert Store(tmp_path / "pairs.zarr").complete
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pairs.zarr"]


def _stop_in_rendering() -> None:
    """Stop this process before it first writes a chunk of parameters.

    The temporary name of the file does not matter.
    """

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and arguments[2] & os.O_CREAT and "staging/c." in str(arguments[0]):
            os.kill(os.getpid(), signal.SIGSTOP)

    sys.addaudithook(hook)


def test_left_over_files_are_swept_only_when_nobody_writes(plan: Make, tmp_path: Path) -> None:
    wanted, out = plan(lenses=8), tmp_path / "pairs.zarr"
    stopped = forked(lambda: (_stop_in_rendering(), simulate(wanted, out)))
    os.waitpid(stopped, os.WUNTRACED)
    left = out / "images" / "c.1.0.0.0.0deadbeef.partial"
    left.write_bytes(b"half")
    fellow = forked(lambda: simulate(wanted, out))
    wait_until(lambda: Store(out).missing() == [0])
    assert left.exists()
    os.kill(stopped, signal.SIGCONT)
    assert (ended(stopped), ended(fellow)) == (0, 0)
    assert not left.exists()


def test_what_is_cut_short_or_removed_is_made_again(plan: Make, tmp_path: Path) -> None:
    out = tmp_path / "pairs.zarr"
    simulate(plan(), out)
    whole = tree(out)
    (out / "images" / "c.1.0.0.0.0").unlink()
    with (out / "images" / "c.0.0.0.0.0").open("r+b") as file:
        file.truncate(100)
    assert Store(out).missing() == [0, 1]
    simulate(plan(), out)
    assert tree(out) == whole
    shutil.rmtree(out / "width")
    simulate(plan(), out)
    assert tree(out) == whole


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"simulator": {"width": "uniform(1, 2)"}}, r"simulator.width: it has 'uniform\(1, 3\)', this would be"),
        ({"lenses": 11}, "simulate.lenses: it has 10, this would be 11"),
        ({"seed": 6}, "simulate.seed: it has 5"),
        ({"split": "test"}, "simulate.split"),
        ({"dtype": "float16"}, "simulate.dtype"),
        ({"chunk": 5}, "simulate.chunk"),
        ({"pairs": "single"}, "pairs.name"),
    ],
)  # fmt: skip
def test_another_store_is_left_alone_and_the_difference_named(
    plan: Make, tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    out = tmp_path / "pairs.zarr"
    simulate(plan(), out)
    before = tree(out)
    with pytest.raises(UsageError, match=f"differs in {named}") as raised:
        simulate(plan(**change), out)
    assert "\n" not in str(raised.value)
    assert tree(tmp_path) == {"pairs.zarr": None} | {f"pairs.zarr/{name}": data for name, data in before.items()}
    simulate(plan(**change), out, overwrite=True)
    simulate(plan(**change), tmp_path / "new.zarr")
    assert tree(out) == tree(tmp_path / "new.zarr")


def test_the_mode_counts_while_something_is_missing(plan: Make, tmp_path: Path) -> None:
    wanted, out = plan(), tmp_path / "pairs.zarr"
    wanted.mode["versions"]["torch"] = "1.0"
    simulate(wanted, out)
    simulate(plan(), out)
    Store(out).chunk_file(0).unlink()
    with pytest.raises(UsageError, match="differs in mode.versions.torch: it has '1.0'"):
        simulate(plan(), out)


def test_what_is_no_store_is_never_touched(plan: Make, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "data.tar.part").write_text("half of it")
    (tmp_path / "file.h5").write_text("more of it")
    before = tree(tmp_path)
    for name, format in (("thesis", "zarr"), ("downloads", "fits"), ("thesis", "hdf5"), ("file.h5", "hdf5")):
        with pytest.raises(UsageError, match=f"{name} exists and is not a {format} store"):
            simulate(plan(), tmp_path / name, format=format, overwrite=True)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("format", OUT)
def test_a_link_to_a_store_is_the_store(plan: Make, tmp_path: Path, format: str) -> None:
    """The linked store is replaced in its folder, and the link stays."""
    real, link = tmp_path / "disk" / OUT[format], tmp_path / "home" / OUT[format]
    link.parent.mkdir()
    link.symlink_to(real)
    simulate(plan(), link, format=format)
    simulate(plan(seed=6), link, format=format, overwrite=True)
    simulate(plan(seed=6), tmp_path / "new" / OUT[format], format=format)
    assert tree(real.parent) == tree(tmp_path / "new")
    assert (list(link.parent.iterdir()), link.readlink()) == ([link], real)


@pytest.mark.parametrize("path", ["", ".", "/"])
@pytest.mark.parametrize("format", OUT)
def test_a_path_without_a_name_is_refused(plan: Make, path: str, format: str) -> None:
    with pytest.raises(UsageError, match="is not a name for a store: use, for example, --out pairs.zarr"):
        format_name(Path(path))
    with pytest.raises(UsageError, match="is not a name for a store"):
        simulate(plan(), path, format=format)


def test_a_file_that_was_not_finished_is_known_without_its_ending(plan: Make, tmp_path: Path) -> None:
    """The HDF5 file has no suffix; its images are first collected in another file."""
    assert format_name(tmp_path / "pairs") == "zarr"
    claims = Claims(tmp_path / "pairs")
    with claims.joined(lambda: None):
        begin(open_format("hdf5", tmp_path / "pairs"), plan(), claims, overwrite=False)
    assert not (tmp_path / "pairs").exists()
    assert format_name(tmp_path / "pairs") == "hdf5"


def test_images_that_are_not_finite_or_too_bright_for_float16_are_not_stored(
    plan: Make, install: Callable[..., None], tmp_path: Path
) -> None:
    install(
        "bright",
        '@hookimpl\ndef lenskit_simulators():\n    return [Component("bright", "bright:Bright", "Bright blobs")]\n',
        bright=(
            "from lenskit_toys.components import Blobs\n\n"
            "class Bright(Blobs):\n"
            "    def __init__(self, *, factor: float = 1.0, pixels: int = 8):\n"
            "        super().__init__(pixels=pixels)\n        self.factor = factor\n"
            "    def render(self, scene, omit=()):\n"
            "        return super().render(scene) * self.factor * self.factor\n"
        ),
    )
    for factor, dtype, why in (
        (1e3, "float16", "the image of lens 0, view 0, of this simulator has values that float16 cannot hold"),
        (1e30, "float32", "simulator 'bright' of lenskit-ssl-bright 1.0 gives images with NaN or infinite values"),
    ):
        with pytest.raises(LenskitError, match=why):
            simulate(plan({"name": "bright", "factor": factor}, dtype=dtype), tmp_path / dtype)
        assert Store(tmp_path / dtype).missing() == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("format", OUT)
def test_a_full_disk_is_one_line_and_the_same_command_goes_on(plan: Make, tmp_path: Path, format: str) -> None:
    """A limit on the size of files acts like a full disk: a write fails within a file."""
    wanted = plan(lenses=40, chunk=20)
    simulate(wanted, tmp_path / "whole" / OUT[format], format=format)
    largest = max(len(data) for data in tree(tmp_path / "whole").values() if data is not None)
    out = tmp_path / "full" / OUT[format]
    out.parent.mkdir()

    def fill() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 1000, largest - 1000))
        with pytest.raises(
            LenskitError, match="cannot be written: File too large; existing chunks are undamaged"
        ) as raised:
            simulate(wanted, out, format=format)
        assert "\n" not in str(raised.value)

    assert ended(forked(fill)) == 0
    assert not [file for file in out.parent.rglob("*") if file.suffix in (".part", ".partial", ".lock")]
    # Only in HDF5 are all images done: the final copy did not fit.
    missing = open_format(format, out).missing(wanted)
    assert missing == ([] if format == "hdf5" else [0, 1])
    simulate(wanted, out, format=format)
    assert tree(out.parent) == tree(tmp_path / "whole")


def test_what_cannot_be_written_is_named(plan: Make, tmp_path: Path) -> None:
    """For a permanent error, the message does not promise that the command resumes."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LenskitError, match=f"^{tmp_path / 'file'} cannot be written: (Not a directory|File exists)$"):
        simulate(plan(), tmp_path / "file" / "pairs.zarr")


@pytest.mark.parametrize("why", ["no module", "no locks"])
def test_without_locks_one_process_does_everything(
    plan: Make, tmp_path: Path, why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    simulate(plan(), tmp_path / "whole" / "pairs.zarr")
    if why == "no module":
        monkeypatch.setattr("lenskit.store.chunk_locks.fcntl", None)
    else:
        monkeypatch.setattr("fcntl.lockf", refuse)
    caplog.set_level("INFO", "lenskit")
    folder = tmp_path / "new"
    simulate(plan(seed=6), folder / "pairs.zarr", workers=1000)
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder / 'pairs.zarr.lock'} cannot be locked: use only this process to fill the store"
    ]
    simulate(plan(), folder / "pairs.zarr", overwrite=True)
    assert tree(folder) == tree(tmp_path / "whole")


def test_chunks_that_others_made_count_as_done(plan: Make, tmp_path: Path) -> None:
    """Another process makes three of five chunks while this one makes its first."""
    wanted, out, told = plan(lenses=20), tmp_path / "pairs.zarr", []

    def tell(done: int) -> None:
        if not told:
            store, render = open_format("zarr", out), Renderer(wanted)
            for chunk in (2, 3, 4):
                store.write(wanted, chunk, *render(chunk))
        told.append(done)

    simulate(wanted, out, tell=tell, pause=0)
    # The last chunk may be reported before it is counted.
    assert sorted(set(told)) == [0, 4, 5]
    assert told == sorted(told)


@pytest.mark.slow
def test_helpers_share_the_work_and_end_with_their_parent(plan: Make, tmp_path: Path) -> None:
    """A command with two processes is killed: no process remains.

    The store can be finished.
    """
    simulate(plan(lenses=1200), tmp_path / "whole.zarr")
    command = ["simulate", "--simulator", "blobs", "--set", "simulator.pixels=8", "--lenses", "1200", "--chunk", "4"]
    command += ["--seed", "5", "--out", "pairs.zarr", "--workers"]
    first = subprocess.Popen([sys.executable, "-m", "lenskit.cli", *command, "2"], start_new_session=True)
    wait_until((tmp_path / "pairs.zarr" / "images" / "c.9.0.0.0.0").exists)
    first.kill()
    first.wait()
    assert Store(tmp_path / "pairs.zarr").missing()
    assert lenskit([*command, "1"]) == 0
    assert tree(tmp_path / "pairs.zarr") == tree(tmp_path / "whole.zarr")
    wait_until(lambda: not _session(first.pid))


def _session(leader: int) -> list[int]:
    """Return the running processes of a session."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def test_arrays_have_names_units_and_never_the_value_zero_for_nothing(plan: Make, tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    simulate(plan(), tmp_path / "pairs.zarr")
    with xarray.open_zarr(tmp_path / "pairs.zarr") as data:
        assert data.images.dims == ("lens", "view", "channel", "y", "x")
        assert set(data.coords) == {"width", "parameter_x", "channel", "y", "x"}
        assert data.width.dims == ("lens",)
        assert data.parameter_x.dims == ("lens", "view")
        assert (data.width.units, data.width.long_name, data.width.group) == ("arcsec", "$w$", "lens")
        assert data.attrs["configuration"] == plan().configuration
    Store(tmp_path / "pairs.zarr").chunk_file(1).unlink()
    assert np.isnan(open_array(tmp_path / "pairs.zarr" / "images")[4:8]).all()
