"""Damaged files, and the commands that must report the damage."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from command_lines import faults_of
from process import call

WEIGHTS = {
    "made/run/checkpoints/last.ckpt": ["train", "--resume", "made/run"],
    "made/run/encoder/model.safetensors": ["embed", "made/run", "--data", "mine/images", "-o", "out/f.npz"],
}
"""Files of weights, and a command that reads each."""

RECORDS = {
    "made/run/encoder/encoder.json": ["embed", "made/run", "--data", "mine/images", "-o", "out/f.npz"],
    "made/run/run.toml": ["runs", "made"],
    "made/run/provenance.json": ["runs", "made"],
    "made/run/metrics.jsonl": ["train", "--resume", "made/run"],
    "made/run/evaluations/crowding/results.json": ["report", "made/run", "made/simsiam", "-o", "out/report.html"],
    "made/store.zarr/zarr.json": ["data", "info", "made/store.zarr"],
    "mine.toml": ["train", "--config", "mine.toml", "--print-config"],
}
"""Records that a person can edit, and a command that reads each."""

WHOLE: tuple[bytes, ...] = (
    b"", b" ", b"\x00" * 64, b"\xff\xfe\x00", b"\xef\xbb\xbf{}", b"null", b"true", b"3", b'"text"', b"[]", b"{}", b"{]",
    b"[[]]", b"NaN", b"[" * 50_000, b'{"a":' * 50_000, b"a = " + b"9" * 6000, b"9" * 6000,
    b'{"format": ' + b"9" * 6000 + b"}",
    b'{"format": 1}', b"[train]\nlenses = []\n", b"[train", b"train = 3\n", b"a.b = 1\na = 2\n",
    b"[[train]]\n", b"\n\n\n",
)  # fmt: skip
"""Contents that replace a whole record."""

PARTS: tuple[object, ...] = (
    None,
    True,
    -1,
    0,
    1e308,
    float("nan"),
    10**400,
    "",
    "x" * 3000,
    "[red]",
    [],
    [[[]]],
    {},
    {"a": {}},
)
"""Values that replace one in a record."""


@dataclass
class Tally:
    """Outcome of the damage to a file."""

    tries: int = 0
    noticed: int = 0
    faults: list[str] = field(default_factory=list)


def try_flips(desk: Path, count: int, seed: int) -> dict[str, Tally]:
    """Flip one bit of a file of weights, and check that its reader reports the file."""
    rng, tallies = random.Random(seed), {}
    for name, command in WEIGHTS.items():
        tally = tallies[name.removeprefix("made/")] = Tally()
        path, sound = desk / name, (desk.parent / "pristine" / name.removeprefix("made/")).read_bytes()
        for _ in range(count // len(WEIGHTS)):
            place = rng.randrange(8 * len(sound))
            data = bytearray(sound)
            data[place // 8] ^= 1 << place % 8
            path.write_bytes(data)
            ended = call(command, desk, seconds=120)
            tally.tries += 1
            tally.noticed += ended.status in (1, 2)
            tally.faults += [f"{name}, bit {place}: {fault}" for fault in faults_of(ended)]
            if ended.status == 0:
                tally.faults.append(f"{name}, bit {place}: read as if it were sound")
            elif Path(name).name not in ended.err:
                tally.faults.append(f"{name}, bit {place}: not named: {ended.err[-300:]}")
            path.write_bytes(sound)
        _clear(desk)
    return tallies


def try_records(desk: Path, count: int, seed: int) -> dict[str, Tally]:
    """Replace a record or one value in it, and check the output of its reader."""
    rng, tallies = random.Random(seed), {}
    ended = call(["crowding", "made/run", "--lenses", "16"], desk, seconds=120)
    assert ended.status == 0, ended
    ended = call(["train", "--recipe", "toys", "--print-config"], desk, seconds=120)
    (desk / "mine.toml").write_text(ended.out)
    for name, command in RECORDS.items():
        tally, path = tallies.setdefault(name.removeprefix("made/"), Tally()), desk / name
        sound = path.read_bytes()
        for _ in range(count // len(RECORDS)):
            content = _changed(sound, rng)
            path.write_bytes(content)
            ended = call(command, desk, seconds=120)
            tally.tries += 1
            tally.noticed += ended.status in (1, 2)
            tally.faults += [f"{name} = {content[:200]!r}: {fault}" for fault in faults_of(ended)]
            path.write_bytes(sound)
            shutil.rmtree(desk / "out")
            (desk / "out").mkdir()
    (desk / "mine.toml").unlink()
    _clear(desk)
    return tallies


def _changed(sound: bytes, rng: random.Random) -> bytes:
    """Return a record with one value replaced, a piece cut out, or other content."""
    way = rng.choice(("whole", "cut", "value", "value"))
    if way == "whole":
        return rng.choice(WHOLE)
    if way == "cut":
        start = rng.randrange(len(sound) + 1)
        return sound[:start] + sound[start + rng.randrange(1, 40) :]
    lines = sound.splitlines(keepends=True)
    try:
        records = [json.loads(sound)] if sound.lstrip().startswith(b"{\n") else [json.loads(line) for line in lines]
    except ValueError:  # TOML: replace the text after an equals sign
        places = [number for number, line in enumerate(lines) if b"=" in line]
        place = rng.choice(places)
        value = json.dumps(rng.choice([part for part in PARTS if part is not None]))
        lines[place] = lines[place].partition(b"=")[0] + b"= " + value.encode() + b"\n"
        return b"".join(lines)
    record = rng.choice(records)
    while True:  # ends at a leaf, because every step goes one level down
        keys = list(record) if isinstance(record, dict) else list(range(len(record)))
        key = rng.choice(keys)
        if not isinstance(record[key], (dict, list)) or not record[key] or rng.random() < 0.3:
            break
        record = record[key]
    if isinstance(record, dict) and rng.random() < 0.3:
        del record[key]
    else:
        record[key] = rng.choice(PARTS)
    return "\n".join(json.dumps(each) for each in records).encode()


def _clear(desk: Path) -> None:
    for folder in ("out", "made"):
        shutil.rmtree(desk / folder)
    (desk / "out").mkdir()
    shutil.copytree(desk.parent / "pristine", desk / "made", symlinks=True)
