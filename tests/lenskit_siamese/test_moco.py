"""MoCo v2: heads, loss, queue, key encoder and optimiser."""

from __future__ import annotations

import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss import NTXentLoss
from torch import Tensor
from torch.nn import functional as F

from lenskit.options import options_of
from lenskit.plugin import Batch, Budget, UsageError
from lenskit.settings import OptimizerSettings
from lenskit_siamese.moco import MoCo
from lenskit_toys.views import SmallNetwork, matched, pairs, train


def small(norm: bool = True, **options) -> MoCo:
    torch.manual_seed(0)
    defaults = {"projection_dim": 32, "hidden_dim": 64, "queue": 20}
    return MoCo(SmallNetwork(norm=norm), **defaults | options)


def running_mean(method: MoCo) -> Tensor:
    """Return the running mean of the key encoder's first batch norm."""
    return method.key_encoder.state_dict()["0.network.1.running_mean"]


def keys_of(method: MoCo, images: Tensor) -> Tensor:
    with torch.no_grad():
        return F.normalize(method.key_encoder(images), dim=1)


def test_the_heads_are_those_of_the_paper():
    # Paper, Sec. 3: two layers, 2048 wide, with a ReLU between; MoCo, Sec. 3.3: 128 dimensions; 4.1: 65536 keys.
    backbone = SmallNetwork()
    backbone.features = 2048
    method = MoCo(backbone)
    assert [type(layer).__name__ for layer in method.projector.layers] == ["Linear", "ReLU", "Linear"]
    assert [tuple(method.projector.layers[i].weight.shape) for i in (0, 2)] == [(2048, 2048), (128, 2048)]
    assert method.queue.shape == (65536, 128)
    torch.testing.assert_close(method.queue.norm(dim=1), torch.ones(65536))


def test_the_loss_is_equation_1():
    method, batch = small(norm=False, temperature=0.3), pairs(8, torch.Generator().manual_seed(1))
    with torch.no_grad():  # make the key encoder differ from the query encoder
        for parameter in method.key_encoder.parameters():
            parameter.mul_(1.1).add_(0.01)
    out = method.step(batch)
    q = F.normalize(method.projector(method.backbone(batch.views[0])), dim=1)
    k = keys_of(method, batch.views[1])
    expected = 0
    for query, key in zip(q, k, strict=True):
        logits = torch.cat([(query @ key)[None], method.queue @ query]) / 0.3
        expected = expected - (logits[0] - torch.logsumexp(logits, 0)) / 8
    torch.testing.assert_close(out["loss"], expected)
    theirs = NTXentLoss(0.3, memory_bank_size=(20, 32))
    theirs.memory_bank.bank = method.queue
    torch.testing.assert_close(out["loss"], theirs(q, k))
    assert out["embedding"].shape == out["projection"].shape == (8, 32)
    assert not out["embedding"].requires_grad
    assert not out["projection"].requires_grad


def test_only_the_query_encoder_learns():
    method = small()
    method.step(pairs(8, torch.Generator()))["loss"].backward()
    for module in (method.backbone, method.projector):
        assert all(parameter.grad is not None for parameter in module.parameters())
    assert not any(parameter.requires_grad for parameter in method.key_encoder.parameters())


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5))
@settings(deadline=None, max_examples=15)
def test_the_queue_holds_the_latest_keys(n, extra, batches):
    method = small(norm=False, queue=n + extra, momentum=1.0)
    held = method.queue.clone()
    generator = torch.Generator().manual_seed(0)
    for _ in range(batches):
        batch = pairs(n, generator)
        method.step(batch)
        held = torch.cat([keys_of(method, batch.views[1]), held])[: n + extra]
        method.after_update()
        torch.testing.assert_close(method.queue, held)


def test_a_batch_in_parts_enters_the_queue_as_a_whole():
    whole, parts = small(norm=False), small(norm=False)
    batch = pairs(8, torch.Generator().manual_seed(1))
    whole.step(batch)
    for lenses in (slice(0, 4), slice(4, 8)):
        parts.step(Batch(tuple(view[lenses] for view in batch.views), {}, batch.index[lenses]))
    whole.after_update()
    parts.after_update()
    torch.testing.assert_close(parts.queue, whole.queue)


def test_the_queue_is_part_of_the_state():
    method, other = small(), small()
    other.queue.zero_()
    for seed in range(3):
        method.step(pairs(8, torch.Generator().manual_seed(seed)))
        method.after_update()
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.queue, method.queue)
    torch.manual_seed(5)
    loss = method.step(pairs(8, torch.Generator().manual_seed(9)))["loss"]
    torch.manual_seed(5)
    assert torch.equal(other.step(pairs(8, torch.Generator().manual_seed(9)))["loss"], loss)


def test_the_key_encoder_follows():
    method = small(momentum=0.75)
    method.step(pairs(8, torch.Generator()))
    before = [parameter.clone() for parameter in method.key_encoder.parameters()]
    statistics = running_mean(method).clone()
    online = [*method.backbone.parameters(), *method.projector.parameters()]
    with torch.no_grad():
        for parameter in online:
            parameter.add_(1.0)
    method.after_update()
    for old, new, weight in zip(before, method.key_encoder.parameters(), online, strict=True):
        torch.testing.assert_close(new, 0.75 * old + 0.25 * weight)
    assert torch.equal(running_mean(method), statistics)


def test_keys_are_computed_in_shuffled_parts_and_put_back():
    images = pairs(16, torch.Generator().manual_seed(1)).views[1]
    plain = small(norm=False, shuffle=4)
    torch.testing.assert_close(plain.keys(images), keys_of(plain, images))  # the parts cannot be told
    # With batch norm they can: only a key encoder that sees all at once has the statistics of all.
    torch.testing.assert_close(small(shuffle=1).keys(images), keys_of(small(), images))
    assert not torch.allclose(small(shuffle=4).keys(images), keys_of(small(), images), atol=1e-4)


@pytest.mark.parametrize("n", range(2, 20))
def test_no_part_is_too_small_for_batch_norm(n):
    method, sizes = small(), []
    method.key_encoder.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    method.keys(torch.randn(n, 1, 16, 16))
    assert sum(sizes) == n
    assert min(sizes) >= 2


def test_a_batch_that_does_not_fit_into_the_queue_is_refused():
    method = small()
    method.budget = Budget(batch_size=21, batches_per_epoch=10, epochs=1)
    with pytest.raises(
        UsageError, match=r"^a batch of 21 lenses does not fit .* queue of 20: .*--batch-size 20 or less"
    ):
        method.prepare((), lambda n: {})


@pytest.mark.parametrize(("batches", "warns"), [(4, True), (5, False)])
def test_a_queue_that_will_not_be_full_is_warned_of(batches, warns, caplog):
    method = small()
    method.budget = Budget(batch_size=4, batches_per_epoch=batches, epochs=1)
    with caplog.at_level(logging.WARNING, logger="lenskit"):
        method.prepare((), lambda n: {})
    assert ("will not be full" in caplog.text) == warns


def test_the_optimiser_is_the_papers():
    method = small()
    method.budget = Budget(batch_size=256, batches_per_epoch=10, epochs=200)
    method.optimizer_settings = OptimizerSettings(**MoCo.optimizer_defaults)
    optimiser = method.configure_optimizers()
    decayed, spared = optimiser.param_groups
    assert isinstance(optimiser, torch.optim.SGD)
    for group in (decayed, spared):
        assert (group["lr"], group["momentum"], group["warmup_epochs"]) == (0.03, 0.9, 0)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (1e-4, 0)
    assert {parameter.ndim for parameter in spared["params"]} == {1}
    trained = [*method.backbone.parameters(), *method.projector.parameters()]
    assert {id(p) for group in optimiser.param_groups for p in group["params"]} == set(map(id, trained))


@pytest.mark.slow
def test_it_learns_what_two_views_share():
    method = small(queue=512, momentum=0.9, shuffle=2)
    method.optimizer_settings = OptimizerSettings(lr=0.3, lr_batch=0, warmup_epochs=0.1)
    assert matched(method) < 0.25
    train(method, 80)
    assert matched(method) > 0.4


def test_every_option_says_what_it_means():
    assert all(option.meaning for option in options_of(MoCo))
