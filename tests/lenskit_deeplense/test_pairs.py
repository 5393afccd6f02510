"""Pairs that share the lens and its substructure."""

from __future__ import annotations

import torch

from lenskit.config import Config
from lenskit.data.training_set import training_set_of

SHARED = ("theta_E", "subhalo_x", "subhalo_theta_E", "substructure")


def test_both_images_have_the_lens_and_the_subhalos_but_not_the_source() -> None:
    config = Config.resolve(
        {
            "simulator": {"name": "deeplense-a", "classes": ["spherical"], "pixels": 16},
            "pairs": {"name": "substructure-fixed"},
            "method": {"name": "simsiam"},
        }
    )
    source = training_set_of(config)
    simulator, pairs = source.lenses.simulator, source.pairs  # type: ignore[attr-defined]
    index = torch.arange(4)
    first, second = (
        simulator.scene(0, "train", index, torch.full((4,), view), shared=pairs.shared_groups) for view in (0, 1)
    )
    for name in SHARED:
        assert torch.equal(first[name], second[name]), name
    assert not torch.equal(first["source_x"], second["source_x"])
    assert not torch.equal(first["photon_noise"], second["photon_noise"])
