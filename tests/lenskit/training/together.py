"""A program that runs tasks in processes as torchrun or SLURM would start them.

It is the cluster of the tests. It starts once and has made the slow imports. Each line of standard input has a working
directory and, as JSON, groups to run one after the other. A group has

by         launcher: "torchrun" or "slurm"; "" for a single process without one
processes  number of processes
tasks      tasks to run one after the other: arguments of `lenskit`, or {"config": FILE, "out": DIR} to train without
           batch norm
signals    signal of a process in a batch, such as {"1": "SIGTERM:5"}; see the toys' method `restless`
log        file for the standard error of each process; its rank is appended to the name
room       bytes of additional address space for each process; no limit by default

The answer is one line with the exit status of each process, for each group. DIR.RANK.json lists the lenses of each
process.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

import lenskit.training.resume  # the slowest import, made once for all tests
from lenskit.cli.main import run as lenskit
from lenskit.config import Config
from lenskit.run import Run
from lenskit.training.runner import Job


def main() -> None:
    for line in sys.stdin:
        folder, groups = json.loads(line)
        os.chdir(folder)
        print(json.dumps([run(group) for group in groups]), flush=True)


def run(group: dict[str, Any]) -> list[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [start(group, rank, port) for rank in range(group["processes"])]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def start(group: dict[str, Any], rank: int, port: int) -> int:
    if child := os.fork():
        return child
    status = 70
    try:
        os.dup2(os.open(f"{group['log']}.{rank}", os.O_WRONLY | os.O_CREAT, 0o644), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # gloo prints to standard output, which is for the answers
        os.environ.update(environment(group["by"], rank, group["processes"], port))
        os.environ["TOYS_SIGNAL"] = group.get("signals", {}).get(str(rank), "")
        rank_zero_only.rank = rank  # Lightning reads it from the environment when it is imported
        torch.set_num_threads(1)
        if room := group.get("room"):
            limit(room)
        for task in group["tasks"]:
            if status := lenskit(task) if isinstance(task, list) else train(task["config"], task["out"], rank):
                break
    except BaseException:
        traceback.print_exc()
        status = 70
    finally:
        os._exit(status)


def environment(by: str, rank: int, processes: int, port: int) -> dict[str, str]:
    if not by:
        return {}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if by == "torchrun":
        names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
        return meeting | {"TORCHELASTIC_RUN_ID": "tests"} | {name: str(value) for name, value in names.items()}
    names = {
        "JOB_ID": 4711, "STEP_ID": 0, "NTASKS": processes, "NTASKS_PER_NODE": processes, "NNODES": 1, "PROCID": rank,
        "LOCALID": rank, "NODEID": 0, "JOB_NAME": "tests",
    }  # fmt: skip
    return meeting | {f"SLURM_{name}": str(value) for name, value in names.items()}


def limit(room: int) -> None:
    torch.zeros(4, 4).requires_grad_().mm(torch.ones(4, 4)).sum().backward()  # its threads need memory too
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + room,) * 2)


class Seen(pl.Callback):
    """Callback that records the lenses of each epoch."""

    def __init__(self) -> None:
        self.lenses: dict[int, list[int]] = {}

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.lenses.setdefault(trainer.current_epoch, []).extend(batch.index.tolist())


def train(file: str, out: str, rank: int) -> int:
    config, seen = Config.from_toml(file), Seen()
    job = Job(config)
    without_batch_norm(job.method)
    run = Run.create(Path(out), config) if rank == 0 else Run(out, config)
    job.fit(run, None, False, [seen])
    Path(f"{out}.{rank}.json").write_text(json.dumps(seen.lenses))
    return 0


def without_batch_norm(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, _BatchNorm):
            setattr(module, name, nn.Identity())
        else:
            without_batch_norm(child)


if __name__ == "__main__":
    main()
