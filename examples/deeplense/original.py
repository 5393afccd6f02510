"""Train and evaluate a method of the package `unsupervised-lensing` 0.1.2.

The script uses only the public functions of this published package.

`side_by_side.py` runs this script in a separate process and a separate folder, because the package writes weights and
reconstructions to the working directory. Three settings are changed from outside; current versions of torch need the
first two:

- The environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD: the package saves entire modules, which torch does not load
  by default since version 2.6.
- The default device of torch, on a GPU: the adversarial autoencoder of the package does not move its networks to a GPU.
- The environment variable TQDM_BAR_FORMAT: it reduces the progress bar to the seconds of the loop over epochs.

The script imports only numpy, torch and the package, not lenskit.
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
    """Train, evaluate, and write `outcome.npz`.

    The file contains the training time in seconds and the error of each test image.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("method", choices=MODULES)
    parser.add_argument("train", type=Path, help="npy file of images (batches, 100, 1, 150, 150)")
    parser.add_argument("test", type=Path, help="npy file of test images, in the same shape")
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
    # The name of the module depends on the method.
    module = importlib.import_module(f"unsupervised_lensing.models.{MODULES[arguments.method]}")
    Path("weights").mkdir()
    Path("results").mkdir()

    with contextlib.redirect_stderr(io.StringIO()) as bar:
        module.train(data_path=arguments.train, epochs=arguments.epochs, checkpoint_path="weights", pretrain=False)
    seconds = float(bar.getvalue().split()[-1])
    # `continue` selects the weights that `train` has just saved, not those on the Google Drive of the authors.
    errors = module.evaluate(
        data_path=arguments.test, checkpoint_path="weights", out_path="results", pretrain_mode="continue"
    )
    np.savez("outcome.npz", seconds=seconds, errors=np.asarray(errors, np.float64))


def warm_up(device: str) -> None:
    """Run one optimiser step.

    The first step of a process includes seconds of initialisation, which must not count as training time.
    """
    weight = torch.zeros(1, device=device, requires_grad=True)
    optimizer = torch.optim.Adam([weight])
    weight.sum().backward()
    optimizer.step()


if __name__ == "__main__":
    main()
