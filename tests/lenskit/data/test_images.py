"""One image of each lens: the same ones in whatever chunks, in order, and whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from lenskit.chosen import build
from lenskit.data.images import simulated, stored
from lenskit.errors import LenskitError
from lenskit.kinds.dataset import Dataset
from lenskit.kinds.parameter import Parameter


class Numbered(Dataset):
    """Two images of each lens: the number of the lens, and that plus a half."""

    parameters = (Parameter("number"),)
    image_shape, views = (1, 8, 8), 2

    def __init__(self, lenses: int) -> None:
        self.names = [f"lens-{i}" for i in range(lenses)]

    def read(self, index: Sequence[int]) -> tuple[Tensor, dict[str, Tensor]]:
        number = torch.tensor(list(index), dtype=torch.float32)
        images = number[:, None] + torch.tensor([0.0, 0.5])
        return images[:, :, None, None, None].expand(-1, -1, *self.image_shape).clone(), {"number": number}


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_simulated_does_not_depend_on_chunks(chunk: int) -> None:
    simulator = build("simulator", "blobs", {})
    parts = list(simulated(simulator, seed=1, split="probe", lenses=10, chunk=chunk))
    assert [len(images) for images, _ in parts] == [min(chunk, 10 - start) for start in range(0, 10, chunk)]
    images = torch.cat([images for images, _ in parts])
    scene = simulator.scene(1, "probe", torch.arange(10))
    torch.testing.assert_close(images, simulator.render(scene), rtol=0, atol=1e-5)
    for parameter in simulator.parameters:
        assert torch.equal(torch.cat([values[parameter.name] for _, values in parts]), scene[parameter.name])


def test_simulated_leaves_out_only_what_can_be() -> None:
    simulator = build("simulator", "blobs", {})
    ((images, _),) = simulated(simulator, seed=1, split="probe", lenses=4, without=["source"])
    noise = simulator.scene(1, "probe", torch.arange(4))["noise"]
    torch.testing.assert_close(images, 0.05 * noise)
    with pytest.raises(LenskitError, match="this simulator cannot leave out lens, psf"):
        next(simulated(simulator, seed=1, split="probe", lenses=4, without=["lens", "psf", "source"]))


def test_stored_reads_every_lens_in_order() -> None:
    chunks = list(stored(Numbered(7), chunk=3))
    assert [len(images) for images, _ in chunks] == [3, 3, 1]
    np.testing.assert_array_equal(torch.cat([values["number"] for _, values in chunks]), np.arange(7))
    np.testing.assert_array_equal(torch.cat([images for images, _ in chunks])[:, 0, 0, 0], np.arange(7))
