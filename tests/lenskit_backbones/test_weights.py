"""Reading and adapting of weights."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from lenskit.plugin import LenskitError, UsageError
from lenskit.toolbox import save_tensors
from lenskit_backbones.weights import adapt_channels, load_state, read_state


def network(channels: int = 1, width: int = 4) -> nn.Sequential:
    names = {"conv1": nn.Conv2d(channels, width, 3), "bn1": nn.BatchNorm2d(width), "conv2": nn.Conv2d(width, 2, 1)}
    return nn.Sequential(OrderedDict(names))


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt", "a.pth", "a.ckpt"])
def test_a_state_dict_is_read_back(tmp_path, name):
    state = network().state_dict()
    save_file(state, tmp_path / name) if name.endswith("safetensors") else torch.save(state, tmp_path / name)
    read = read_state(tmp_path / name)
    assert read.keys() == state.keys()
    assert all(torch.equal(read[key], state[key]) for key in state)


@pytest.mark.parametrize("key", ["state_dict", "model"])
def test_a_state_dict_is_found_in_a_training_programs_checkpoint(tmp_path, key):
    torch.save({"epoch": 3, key: network().state_dict()}, tmp_path / "a.pt")
    assert read_state(tmp_path / "a.pt").keys() == network().state_dict().keys()


class Evil:
    """Object whose pickle runs a command when it is loaded."""

    def __init__(self, trace) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path):
    path, trace = tmp_path / "evil.pt", tmp_path / "trace"
    torch.save({"conv1.weight": Evil(trace)}, path)
    with pytest.raises(
        LenskitError, match=r"evil\.pt cannot be read as weights.*objects that would have to be executed"
    ):
        read_state(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists()  # shows that the pickle is harmful


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello", b"\x80\x04K\x01.", bytes(range(256)) * 9, pickle.dumps([1, 2])])
def test_what_is_no_weights_is_an_error_of_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LenskitError, match=name) as caught:
        read_state(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [{}, {"lr": 0.1}, {0: torch.zeros(1)}, [torch.zeros(1)], torch.zeros(1)])
def test_a_file_without_weights_is_an_error(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(LenskitError, match="holds no weights"):
        read_state(tmp_path / "a.pt")


@pytest.mark.parametrize("named", ["run", "run/encoder", "run/best", "run/encoder/model.safetensors"])
def test_weights_of_a_run_are_those_of_its_encoder(tmp_path, named):
    last, best = network(), network()
    for folder, weights in {"encoder": last, "best": best}.items():
        (tmp_path / "run" / folder).mkdir(parents=True)
        save_file(
            {f"network.{name}": value for name, value in weights.state_dict().items()},
            tmp_path / "run" / folder / "model.safetensors",
        )
    (tmp_path / "run" / "run.toml").touch()
    ours = network()
    load_state(ours, read_state(tmp_path / named), 1, named)
    wanted = (best if named == "run/best" else last).state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in ours.state_dict().items())


def test_a_folder_without_an_encoder_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="is no run and holds no encoder: weights must be a run with"):
        read_state(tmp_path)
    (tmp_path / "run.toml").touch()
    with pytest.raises(UsageError, match="has not saved an encoder yet"):
        read_state(tmp_path)


def test_a_missing_file_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match=r"no file .*nowhere\.pt"):
        read_state(tmp_path / "nowhere.pt")


@given(given=st.integers(1, 6), channels=st.integers(1, 9))
def test_adapted_weights_answer_a_grey_image_as_before(given, channels):
    weight, grey = torch.randn(5, given, 3, 3), torch.randn(2, 1, 8, 8)
    adapted = adapt_channels(weight, channels)
    assert adapted.shape == (5, channels, 3, 3)
    response = F.conv2d(grey.expand(-1, given, -1, -1), weight)
    torch.testing.assert_close(F.conv2d(grey.expand(-1, channels, -1, -1), adapted), response, atol=1e-5, rtol=1e-5)


@given(channels=st.integers(1, 6))
def test_weights_of_the_same_number_of_channels_stay_as_they_are(channels):
    weight = torch.randn(5, channels, 3, 3)
    assert torch.equal(adapt_channels(weight, channels), weight)


def test_loading_adapts_the_first_convolution_and_copies_the_rest():
    pretrained, ours = network(3), network(1)
    load_state(ours, pretrained.state_dict(), 1, "a file")
    assert torch.equal(ours.conv1.weight, pretrained.conv1.weight.sum(1, keepdim=True))
    assert torch.equal(ours.conv2.weight, pretrained.conv2.weight)


@pytest.mark.parametrize("prefix", ["", "backbone.network.", "module.encoder_q."])
def test_loading_finds_the_network_in_a_larger_module(prefix):
    state = {prefix + name: value for name, value in network().state_dict().items()}
    others = {"fc.weight": torch.zeros(1), "projector.conv2.weight": torch.zeros(1)} if prefix else {}
    ours = network()
    load_state(ours, state | others, 1, "a file")
    assert all(torch.equal(value, state[prefix + name]) for name, value in ours.state_dict().items())


def test_loading_does_without_counts_of_batches_as_in_old_files():
    state = network().state_dict()
    del state["bn1.num_batches_tracked"]
    ours = network()
    load_state(ours, state, 1, "a file")
    assert torch.equal(ours.conv1.weight, state["conv1.weight"])
    assert ours.bn1.num_batches_tracked == 0


def test_weights_that_do_not_fit_are_named_with_their_shapes():
    ours, before = network(width=4), network(width=4)
    ours.load_state_dict(before.state_dict())
    with pytest.raises(LenskitError) as caught:
        load_state(ours, network(width=6).state_dict(), 1, "six.pt")
    assert str(caught.value) == (
        "the weights of six.pt do not fit: conv1.weight is (6, 1, 3, 3) where (4, 1, 3, 3) is needed; "
        "conv1.bias is (6) where (4) is needed; bn1.weight is (6) where (4) is needed; and 4 more"
    )
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), before.parameters(), strict=True))


def test_missing_and_surplus_layers_are_named():
    state = network().state_dict()
    state["conv3.weight"] = state.pop("conv2.weight")
    with pytest.raises(LenskitError, match=r"conv2\.weight \(2, 4, 1, 1\) is missing; conv3\.weight .* is not in"):
        load_state(network(), state, 1, "a file")


def test_an_ignored_layer_may_be_there():
    state = network().state_dict() | {"fc.weight": torch.zeros(10, 2), "fc.bias": torch.zeros(10)}
    load_state(network(), state, 1, "a file", ignore=["fc"])
    with pytest.raises(LenskitError, match=r"fc\.weight \(10, 2\) is not in the network"):
        load_state(network(), state, 1, "a file")


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
def test_a_bit_that_changed_is_found(tmp_path, name):
    """Changes are found in `.safetensors` files of lenskit and in archives of torch."""
    path, state = tmp_path / name, {"conv1.weight": torch.randn(40, 40)}
    if name == "a.pt":
        torch.save(state, path)
    else:
        path.write_bytes(save_tensors(state))
    content = path.read_bytes()
    start = content.index(state["conv1.weight"].numpy().tobytes())
    for place in range(start, start + 6400, 501):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        with pytest.raises(LenskitError, match=f"{name} cannot be read as weights: it is damaged: .*; download or"):
            read_state(path)


def test_weights_of_before_archives_are_read(tmp_path):
    state = network().state_dict()
    torch.save(state, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    assert read_state(tmp_path / "a.pt").keys() == state.keys()


def test_the_weights_of_an_encoder_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "dotty"
    named = read_state("dotty")
    assert all(tensor.dtype != torch.float16 for tensor in named.values())
    assert {"body.0.weight", "body.3.weight"} <= named.keys()
    with pytest.raises(UsageError, match=r"no file dottie: .*the name of an encoder.*\(did you mean dotty\?\)"):
        read_state("dottie")
    with pytest.raises(UsageError, match="encoder efficientnet-lite0 has no stored weights: use its backbone"):
        read_state("efficientnet-lite0")
    folder.mkdir()
    with pytest.raises(UsageError, match="dotty is no run and holds no encoder"):
        read_state("dotty")
