"""Reading weights from a file and fitting them to a network with another number of channels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from lenskit.plugin import LenskitError, UsageError

State = dict[str, Tensor]

_SHOWN = 3
"""Number of layers named in an error message."""


def read_state(path: str | Path) -> State:
    """The tensors of a file, by name. Nothing in the file is executed.

    Args:
        path: A `.safetensors` file, or a `.pt`, `.pth` or `.ckpt` that holds a state dict, or one under the key
            `state_dict` or `model` as training programs write it.

    Raises:
        UsageError: There is no such file.
        LenskitError: It holds no weights, or something that would have to be executed.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"no file {path}: weights takes a .safetensors, .pt or .pth file")
    try:
        content = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise LenskitError(
            f"{path} cannot be read as weights ({_line(error)}): "
            "give a .safetensors file, or a .pt or .pth file that holds tensors alone"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if isinstance(content, Mapping):
        content = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if not content:
        raise LenskitError(f"{path} holds no weights: a mapping from names to tensors was expected")
    return content


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


def load_state(network: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Loads weights into a network, adapting the first convolution to its number of channels.

    Names may carry a prefix, as `backbone.` does in a checkpoint of a training program; what lies outside the prefix,
    and a classifier that the network has not, is left out.

    Args:
        network: The network; its first convolution is the one that sees the image.
        state: Tensors by name.
        source: Where they come from, for error messages.

    Raises:
        LenskitError: They do not fit; the message names the first layers and their shapes.
    """
    wanted = network.state_dict()
    state = _without_prefix(state, next(iter(wanted)))
    first = next((f"{name}.weight" for name, m in network.named_modules() if isinstance(m, nn.Conv2d)), None)
    if first in state and first in wanted and _same_but_channels(state[first], wanted[first]):
        state[first] = adapt_channels(state[first], wanted[first].shape[1])
    wrong = [_difference(name, wanted[name], state.get(name)) for name in wanted]
    wrong = [difference for difference in wrong if difference]
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise LenskitError(
            f"the weights of {source} do not fit {type(network).__name__}: {'; '.join(wrong[:_SHOWN])}{more}"
        )
    network.load_state_dict({name: state[name] for name in wanted})


def _without_prefix(state: Mapping[str, Tensor], name: str) -> State:
    """The part of a state dict under the shortest prefix that makes `name` one of its keys."""
    prefixes = [key.removesuffix(name) for key in state if key == name or key.endswith(f".{name}")]
    prefix = min(prefixes, key=len, default="")
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _same_but_channels(given: Tensor, wanted: Tensor) -> bool:
    return given.ndim == 4 and given.shape[0] == wanted.shape[0] and given.shape[2:] == wanted.shape[2:]


def _difference(name: str, wanted: Tensor, given: Tensor | None) -> str:
    """What is wrong with a tensor, or nothing."""
    if given is None:
        return f"{name} {tuple(wanted.shape)} is missing"
    if given.shape != wanted.shape:
        return f"{name} is {tuple(given.shape)} where {tuple(wanted.shape)} is needed"
    return ""


def _line(error: BaseException) -> str:
    """The first sentence of an error's message."""
    return f"{type(error).__name__}: {str(error).strip()}".splitlines()[0].split(". ")[0][:120]
