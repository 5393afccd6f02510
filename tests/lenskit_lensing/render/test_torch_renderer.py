"""Parts of the fast renderer; `test_hst` compares its images with lenstronomy."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lenskit.plugin import Scene
from lenskit_lensing.render.torch_renderer import TorchRenderer
from lenskit_lensing.simulators.hst import HST, normalised

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:`axes` should not be `None`:DeprecationWarning:lenstronomy")


@pytest.fixture(scope="module")
def simulator() -> HST:
    return HST()


@pytest.fixture(scope="module")
def scene(simulator: HST) -> Scene:
    return simulator.scene(2, "train", torch.arange(20))


def test_arc_and_lens_light_blurred_are_the_image(simulator: HST, scene: Scene) -> None:
    """Some simulators blend the two kinds of light themselves."""
    renderer = simulator.renderer
    parts = torch.stack([renderer.arc(scene), renderer.lens_light(scene)], dim=1)
    assert parts.shape == (20, 2, 110, 110)
    for part, image in zip(renderer.convolve(parts, scene["psf"]).unbind(1), renderer(scene), strict=True):
        assert (part - image).abs().max() < 1e-5 * image.max()


@pytest.mark.parametrize("channels", [1, 2])
def test_further_light_is_blurred_as_in_lenstronomy(simulator: HST, scene: Scene, channels: int) -> None:
    some = {name: values[:4] for name, values in scene.items()}
    extra = torch.rand(4, channels, 110, 110, generator=torch.Generator().manual_seed(0))
    ours = simulator.renderer(some, extra)
    theirs = HST(renderer="lenstronomy").renderer(some, extra)
    assert ours[2].shape == extra.shape
    assert torch.allclose(ours[2], theirs[2], atol=1e-5)
    for with_it, without in zip(ours[:2], simulator.renderer(some), strict=True):
        assert torch.allclose(normalised(with_it), normalised(without), atol=1e-5)


def test_sources_are_the_same_where_no_one_asks_which_rows_have_them(real_data: Path) -> None:
    """A GPU evaluates every profile for every scene."""
    simulator = HST(cosmos=str(real_data / "cosmos"), merger_fraction=0.5)
    scene = simulator.scene(4, "train", torch.arange(16))
    rng = torch.Generator().manual_seed(0)
    x, y = (torch.randn(16, 30, 30, generator=rng) * 0.5 for _ in range(2))
    renderer = simulator.renderer
    galaxies = [
        {name.removeprefix(f"{galaxy}_"): values for name, values in scene.items() if name.startswith(f"{galaxy}_")}
        for galaxy in ("source", "companion")
    ]
    by_rows, by_masks = (way(x, y, galaxies) for way in (renderer._source_by_rows, renderer._source_by_masks))
    assert torch.allclose(by_rows, by_masks, rtol=1e-5)


def test_real_galaxies_need_their_images(real_data: Path, simulator: HST) -> None:
    scene = HST(cosmos=str(real_data / "cosmos"), cosmos_fraction=1).scene(0, "train", torch.arange(2))
    with pytest.raises(ValueError, match="create the renderer with stamps="):
        simulator.renderer(scene)


def test_large_batches_are_rendered_in_parts(simulator: HST, scene: Scene) -> None:
    alone = torch.cat([simulator.renderer.arc({k: v[i : i + 1] for k, v in scene.items()}) for i in range(20)])
    together = simulator.renderer.arc(scene)
    assert (alone - together).abs().max() < 1e-5 * together.max()
    assert isinstance(simulator.renderer, TorchRenderer)
