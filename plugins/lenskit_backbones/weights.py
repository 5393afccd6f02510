"""Weights from a file, adapted to the number of channels of a network."""

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
    """Return the tensors of a file, by name. Nothing in the file is executed.

    Args:
        path: One of: a `.safetensors` file; a `.pt`, `.pth` or `.ckpt` file with a state dict, at the top or under the
            key `state_dict` or `model`; a lenskit run (or its folder `best`); the folder of an encoder; an export for
            timm; the name of an encoder from a plugin.

    Returns:
        The tensors by name. Half precision is converted to float32.

    Raises:
        UsageError: There is no such file or folder.
        LenskitError: The file has no weights, or needs code to be executed.
    """
    path = _file(str(path))
    try:
        content = _content(path)
    except Damaged as error:
        raise LenskitError(f"{path} cannot be read as weights: it is damaged: {error.told}") from None
    except Exception as error:  # a damaged file can raise any exception
        raise LenskitError(
            f"{path} cannot be read as weights: it is damaged, or holds objects that would have to be executed "
            f"({type(error).__name__}); use a .safetensors file, or a .pt or .pth file with tensors only"
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
    """Return all content of a file; check its checksums, which torch ignores."""
    remedy = "download or copy it again"
    if path.suffix == ".safetensors":
        return load_tensors(path, remedy)[0]
    with path.open("rb") as file:
        if file.read(4) == b"PK\3\4":  # files of torch before 1.6 are not archives
            check_archive(path, remedy)
    return torch.load(path, "cpu", weights_only=True)


def _full(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _file(text: str) -> Path:
    """Return the weight file that a text names, directly or as a run or encoder."""
    named = find_named(text)
    path = named.folder if named else Path(text)
    if named and not (path / "model.safetensors").is_file():
        raise UsageError(f"encoder {text} has no stored weights: use its backbone, see `lenskit info {text}`")
    if not path.is_dir():
        if not path.is_file():
            raise UsageError(
                f"no file {path}: weights must be a .safetensors, .pt or .pth file, a run, or the name of an encoder"
                f"{not_named(text)}"
            )
        return path
    for file in (path / "encoder" / "model.safetensors", path / "model.safetensors"):
        if file.is_file():
            return file
    wanted = "has not saved an encoder yet" if (path / "run.toml").is_file() else "is no run and holds no encoder"
    raise UsageError(f"{path} {wanted}: weights must be a run with an encoder, or a .safetensors, .pt or .pth file")


def adapt_channels(weight: Tensor, channels: int) -> Tensor:
    """Adapt a first convolution's weight to a different number of channels.

    The response to a grey image stays the same. For fewer channels, each gets an equal share of the sum. For more
    channels, the filters are repeated in turn and divided by the number of their copies.

    Args:
        weight: (out, in, height, width).
        channels: New number of channels.

    Returns:
        (out, `channels`, height, width), with the same sum over channels as `weight`.
    """
    given = weight.shape[1]
    if channels < given:
        return weight.sum(1, keepdim=True).expand(-1, channels, -1, -1) / channels
    source = torch.arange(channels) % given
    copies = torch.bincount(source)[source].to(weight.dtype)
    return weight[:, source] / copies[:, None, None]


def without_prefix(state: Mapping[str, Tensor], network: nn.Module) -> State:
    """Return the part of a state dict that belongs to a network, without its prefix.

    The checkpoint of a different training program may hold a backbone's weights as `backbone.conv1.weight` or
    `module.encoder_q.conv1.weight`, next to other tensors. The shortest prefix that fits is used.
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
    """Load weights into a network; adapt its first layers to the number of channels.

    Args:
        network: Network to load the weights into.
        state: Tensors by name; the names may have a common prefix.
        channels: Number of channels of the network's images.
        source: Origin of the weights, for error messages.
        ignore: Layers that may be in the state and not in the network, such as a classifier.
        inputs: Layers that see the image, in addition to the first convolution.

    Raises:
        LenskitError: The weights do not fit; the message names the first layers and their shapes.
    """
    wanted = network.state_dict()
    state = without_prefix(state, network)
    layers = dict(network.named_modules())
    first = next((name for name, layer in layers.items() if isinstance(layer, nn.Conv2d)), None)
    for name in {first, *inputs} & layers.keys():
        weight = f"{name}.weight"
        if weight in state and weight in wanted:
            state[weight] = _adapted(state[weight], wanted[weight], channels)
    # Weights from early versions of PyTorch lack the batch counter of a batch norm, which has no effect here.
    missing = [n for n in wanted if n not in state and not n.endswith(".num_batches_tracked")]
    surplus = [n for n in state if n not in wanted and not n.startswith(tuple(f"{layer}." for layer in ignore))]
    wrong = [n for n in wanted if n in state and state[n].shape != wanted[n].shape]
    problems = [f"{n} is {_shape(state[n])} where {_shape(wanted[n])} is needed" for n in wrong]
    problems += [f"{n} {_shape(wanted[n])} is missing" for n in missing]
    problems += [f"{n} {_shape(state[n])} is not in the network" for n in surplus]
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise LenskitError(f"the weights of {source} do not fit: {'; '.join(problems[:_SHOWN])}{more}")
    network.load_state_dict(wanted | {n: state[n] for n in wanted if n in state})


def _adapted(weight: Tensor, wanted: Tensor, channels: int) -> Tensor:
    """Return a weight for the wanted number of channels.

    If the weight differs in more than the channels, it is returned unchanged, and the caller reports the difference.
    """
    if weight.ndim == wanted.ndim == 4 and wanted.shape[1] == channels:
        return adapt_channels(weight, channels)
    if weight.ndim == wanted.ndim == 2 and weight.shape[1] != wanted.shape[1]:
        # A linear layer over the pixels of a patch, with the channels of a pixel next to each other.
        pixels, rest = divmod(wanted.shape[1], channels)
        if not rest and weight.shape[1] % pixels == 0:
            return adapt_channels(weight.unflatten(1, (pixels, -1)).mT[..., None], channels)[..., 0].mT.flatten(1)
    return weight


def _named(content: object) -> bool:
    return isinstance(content, Mapping) and all(isinstance(name, str) for name in content)


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))})"
