"""Trains and evaluates a method of the published package `unsupervised-lensing` 0.1.2, by its public functions alone.

`side_by_side.py` calls this in a process of its own, in a folder of its own (the package writes weights and
reconstructions), with things set from outside, without two of which today's torch does not run it:

- the environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD, for it saves whole modules, which torch refuses to load
  since 2.6;
- on a GPU, torch's default device: its adversarial autoencoder never moves its networks there;
- the environment variable TQDM_BAR_FORMAT, so that its progress bar is nothing but the seconds that its loop over the
  epochs took.

It imports neither lenskit nor anything but numpy, torch and the package.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
from pathlib import Path

import numpy as np
import torch

MODULES = {"aae": "Adversarial_AE", "vae": "Variational_AE", "dcae": "Convolutional_AE", "rbm": "RBM_Model"}


def main() -> None:
    """Trains, evaluates, and writes `outcome.npz`: seconds of training, and each test image's error."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("method", choices=MODULES)
    parser.add_argument("train", type=Path, help="npy file of images (batches, 100, 1, 150, 150)")
    parser.add_argument("test", type=Path, help="the same, of the images to judge on")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", required=True)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    if arguments.device == "cuda":
        torch.set_default_device("cuda")
    warm_up(arguments.device)
    # Imported this late, because it is there only for those who have installed it.
    module = importlib.import_module(f"unsupervised_lensing.models.{MODULES[arguments.method]}")
    Path("weights").mkdir()
    Path("results").mkdir()

    with contextlib.redirect_stderr(io.StringIO()) as bar:
        module.train(data_path=arguments.train, epochs=arguments.epochs, checkpoint_path="weights", pretrain=False)
    seconds = float(bar.getvalue().split()[-1])
    # `continue` is its word for the weights that it has just saved, rather than those on the authors' Google Drive.
    errors = module.evaluate(
        data_path=arguments.test, checkpoint_path="weights", out_path="results", pretrain_mode="continue"
    )
    np.savez("outcome.npz", seconds=seconds, errors=np.asarray(errors, np.float64))


def warm_up(device: str) -> None:
    """One step of an optimiser: the first one of a process takes seconds that are not training."""
    weight = torch.zeros(1, device=device, requires_grad=True)
    optimizer = torch.optim.Adam([weight])
    weight.sum().backward()
    optimizer.step()


if __name__ == "__main__":
    main()
