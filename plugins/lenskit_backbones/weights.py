"""Reading weights from a file and fitting them to a network with another number of channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lenskit.plugin import LenskitError, UsageError
from lenskit.toolbox import Damaged, check_archive, find_named, load_tensors, not_named

State = dict[str, Tensor]

_SHOWN = 3
"""Number of layers named in an error message."""


def read_state(path: str | Path) -> State:
    """The tensors of a file, by name. Nothing in the file is executed.

    Args:
        path: A `.safetensors` file, or a `.pt`, `.pth` or `.ckpt` that holds a state dict, or one under the key
            `state_dict` or `model` as training programs write it; or a lenskit run (or its folder `best`), an
            encoder's folder, or an export for timm; or the name of an encoder that a plugin brings.

    Returns:
        The tensors by name; those of half precision as float32.

    Raises:
        UsageError: There is no such file or folder.
        LenskitError: It holds no weights, or something that would have to be executed.
    """
    path = _file(str(path))
    try:
        content = _content(path)
    except Damaged as error:
        raise LenskitError(f"{path} cannot be read as weights: it is damaged: {error.told}") from None
    except Exception as error:  # a damaged file raises whatever its bytes happen to spell
        raise LenskitError(
            f"{path} cannot be read as weights: it is damaged, or holds objects that would have to be executed "
            f"({type(error).__name__}); give a .safetensors file, or a .pt or .pth file of tensors alone"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    state = (
        {name: _full(value) for name, value in content.items() if isinstance(value, Tensor)} if _named(content) else {}
    )
    if not state:
        raise LenskitError(f"{path} holds no weights: a mapping from names to tensors was expected")
    return state


def _content(path: Path) -> Any:
    """All that a file holds, if its checksums are right: torch compares none."""
    remedy = "get it again from where it came from"
    if path.suffix == ".safetensors":
        return load_tensors(path, remedy)[0]
    with path.open("rb") as file:
        if file.read(4) == b"PK\3\4":  # files of torch before 1.6 are no archives
            check_archive(path, remedy)
    return torch.load(path, "cpu", weights_only=True)


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _file(text: str) -> Path:
    """The file of weights that a text names: a file, or the encoder's of a run or of a plugin."""
    named = find_named(text)
    path = named.folder if named else Path(text)
    if named and not (path / "model.safetensors").is_file():
        raise UsageError(f"encoder {text} has no weights of its own: use its backbone, `lenskit info {text}` names it")
    if not path.is_dir():
        if not path.is_file():
            raise UsageError(
                f"no file {path}: weights takes a .safetensors, .pt or .pth file, a run, or the name of an encoder"
                f"{not_named(text)}"
            )
        return path
    for file in (path / "encoder" / "model.safetensors", path / "model.safetensors"):
        if file.is_file():
            return file
    wanted = "has not saved an encoder yet" if (path / "run.toml").is_file() else "is no run and holds no encoder"
    raise UsageError(f"{path} {wanted}: weights takes a run that has, or a .safetensors, .pt or .pth file")


def adapt_channels(weight: Tensor, channels: int) -> Tensor:
    """A first convolution's weight for another number of channels, with the same response to a grey image.

    Down to fewer channels each takes an equal share of the sum; up to more, the filters are repeated in turn and
    divided by the number of their copies.

    Args:
        weight: (out, in, height, width).
        channels: Number of channels wanted.

    Returns:
        (out, `channels`, height, width), whose sum over channels is that of `weight`.
    """
    given = weight.shape[1]
    if channels < given:
        return weight.sum(1, keepdim=True).expand(-1, channels, -1, -1) / channels
    source = torch.arange(channels) % given
    copies = torch.bincount(source)[source].to(weight.dtype)
    return weight[:, source] / copies[:, None, None]


def without_prefix(state: Mapping[str, Tensor], network: nn.Module) -> State:
    """The part of a state dict under the shortest prefix that makes it one of this network.

    A checkpoint of a whole training program holds the weights of a backbone as `backbone.conv1.weight` or
    `module.encoder_q.conv1.weight`, and other things besides.
    """
    first = next(iter(network.state_dict()))
    prefixes = [key.removesuffix(first) for key in state if key == first or key.endswith(f".{first}")]
    prefix = min(prefixes, key=len, default="")
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def load_state(
    network: nn.Module,
    state: Mapping[str, Tensor],
    channels: int,
    source: str,
    ignore: Sequence[str] = (),
    inputs: Sequence[str] = (),
) -> None:
    """Loads weights into a network, adapting the layers that see the image to its number of channels.

    Args:
        network: The network.
        state: Tensors by name; a prefix common to all may stand before the names.
        channels: Number of channels that the network takes.
        source: Where the weights come from, for error messages.
        ignore: Layers that may be in the state without being in the network, such as a classifier.
        inputs: Layers that see the image, beside the first convolution.

    Raises:
        LenskitError: They do not fit; the message names the first layers and their shapes.
    """
    wanted = network.state_dict()
    state = without_prefix(state, network)
    layers = dict(network.named_modules())
    first = next((name for name, layer in layers.items() if isinstance(layer, nn.Conv2d)), None)
    for name in {first, *inputs} & layers.keys():
        weight = f"{name}.weight"
        if weight in state and weight in wanted:
            state[weight] = _adapted(state[weight], wanted[weight], channels)
    # Weights from before PyTorch counted the batches of a batch norm lack the count, which nothing depends on.
    missing = [n for n in wanted if n not in state and not n.endswith(".num_batches_tracked")]
    surplus = [n for n in state if n not in wanted and not n.startswith(tuple(f"{layer}." for layer in ignore))]
    wrong = [n for n in wanted if n in state and state[n].shape != wanted[n].shape]
    problems = [f"{n} is {_shape(state[n])} where {_shape(wanted[n])} is needed" for n in wrong]
    problems += [f"{n} {_shape(wanted[n])} is missing" for n in missing]
    problems += [f"{n} {_shape(state[n])} has no place" for n in surplus]
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise LenskitError(f"the weights of {source} do not fit: {'; '.join(problems[:_SHOWN])}{more}")
    network.load_state_dict(wanted | {n: state[n] for n in wanted if n in state})


def _adapted(weight: Tensor, wanted: Tensor, channels: int) -> Tensor:
    """A weight for the wanted number of channels; as it is, if it differs in more, which is then said."""
    if weight.ndim == wanted.ndim == 4 and wanted.shape[1] == channels:
        return adapt_channels(weight, channels)
    if weight.ndim == wanted.ndim == 2 and weight.shape[1] != wanted.shape[1]:
        # A linear layer over the pixels of a patch, with the channels of a pixel side by side.
        pixels, rest = divmod(wanted.shape[1], channels)
        if not rest and weight.shape[1] % pixels == 0:
            return adapt_channels(weight.unflatten(1, (pixels, -1)).mT[..., None], channels)[..., 0].mT.flatten(1)
    return weight


def _named(content: object) -> bool:
    return isinstance(content, Mapping) and all(isinstance(name, str) for name in content)


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))})"
