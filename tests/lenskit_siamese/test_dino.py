"""DINO: loss, centre, teacher and schedules."""

from __future__ import annotations

import pytest
import torch
from lightly.loss import DINOLoss
from lightly.models.modules.heads import DINOProjectionHead
from torch import Tensor, nn

from lenskit.plugin import Backbone, Batch, Budget
from lenskit.settings import OptimizerSettings
from lenskit_siamese.dino import DINO


class Flat(Backbone):
    """Features linear in the pixels, after a batch norm."""

    features = 12

    def __init__(self) -> None:
        super().__init__(1, 4)
        self.norm, self.layer = nn.BatchNorm2d(1), nn.Linear(16, self.features)

    def forward(self, images: Tensor) -> Tensor:
        return self.layer(self.norm(images).flatten(1))


def dino(**options) -> DINO:
    torch.manual_seed(0)
    method = DINO(Flat(), **{"output_dim": 20, "hidden_dim": 16, "bottleneck_dim": 8} | options)
    method.budget = Budget(batch_size=256, batches_per_epoch=10, epochs=100)
    method.optimizer_settings = OptimizerSettings(**DINO.optimizer_defaults)
    return method


def views(count: int, n: int = 6) -> Batch:
    images = torch.randn(count, n, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return Batch(tuple(images), {}, torch.arange(n))


def disturbed(method: DINO) -> DINO:
    """Change weights and centre as training would: student and teacher differ."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in [*method.student.parameters(), *method.student_head.layers.parameters()]:
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
        method.criterion.center.copy_(0.1 * torch.randn(method.criterion.center.shape, generator=generator))
    return method


def test_the_head_is_the_papers():
    backbone = Flat()
    backbone.features = 384
    with torch.device("meta"), pytest.warns(FutureWarning, match="weight_norm"):
        method, theirs = DINO(backbone), DINOProjectionHead(384, 2048, 256, 65536)
    for head in (method.head, method.student_head):
        assert {k: v.shape for k, v in head.state_dict().items()} == {
            k: v.shape for k, v in theirs.state_dict().items()
        }
    assert not method.student_head.last_layer.weight_g.requires_grad
    assert dino(norm_last_layer=False).student_head.last_layer.weight_g.requires_grad


@pytest.mark.parametrize("local", [0, 3])
def test_the_loss_is_equation_3_and_the_centre_equation_4(local):
    method, batch = disturbed(dino(local_views=local)), views(2 + local)
    method.batches = 500
    assert method.views == 2 + local
    centre = method.criterion.center.clone().flatten()
    with torch.no_grad():
        seen = [torch.cat(batch.views[:2]), *([torch.cat(batch.views[2:])] if local else [])]
        student = torch.cat([method.student_head(method.student(each)) for each in seen]).split(6)
        teacher = method.head(method.backbone(seen[0])).split(6)
    total, terms = 0.0, 0
    for i, target in enumerate(teacher):
        p = ((target - centre) / 0.07).softmax(1)
        for j, output in enumerate(student):
            if i != j:
                total += -(p * (output / 0.1).softmax(1).log()).sum(1).mean()
                terms += 1
    assert terms == 2 * (2 + local) - 2
    loss = method.step(batch)["loss"]
    torch.testing.assert_close(loss.detach(), total / terms)
    method.after_update()
    moved = 0.9 * centre + 0.1 * torch.cat(teacher).mean(0)
    torch.testing.assert_close(method.criterion.center.flatten(), moved)


def test_the_teacher_is_what_is_embedded_and_learns_nothing_itself():
    method = disturbed(dino())
    method.step(views(2))["loss"].backward()
    assert all(parameter.grad is None for module in (method.backbone, method.head) for parameter in module.parameters())
    trained = {id(p) for group in method.configure_optimizers().param_groups for p in group["params"]}
    student = [*method.student.parameters(), *method.student_head.parameters()]
    assert trained == {id(parameter) for parameter in student if parameter.requires_grad}
    method.eval()
    images = views(2).views[0]
    assert torch.equal(method.embed(images), method.backbone(images))
    assert not torch.equal(method.embed(images), method.student(images))


@pytest.mark.parametrize("parts", [1, 3])
def test_the_centre_moves_once_a_batch_in_however_many_parts(parts):
    """Every part uses the last batch's centre; then the centre moves as lightly's."""
    method, theirs = disturbed(dino()), DINOLoss(20, center_momentum=0.9)
    theirs.center.copy_(method.criterion.center)
    for _ in range(2):
        before, outputs = method.criterion.center.clone(), []
        for images in torch.stack(views(2, 12).views).chunk(parts, 1):
            with torch.no_grad():
                outputs.append(torch.stack(method.head(method.backbone(images.flatten(0, 1))).chunk(2)))
            method.step(Batch(tuple(images), {}, torch.arange(12 // parts)))
            assert torch.equal(method.criterion.center, before)
        method.after_update()
        theirs.update_center(torch.cat(outputs, 1))
        assert not torch.equal(method.criterion.center, before)
        if parts == 1:
            assert torch.equal(method.criterion.center, theirs.center)
        torch.testing.assert_close(method.criterion.center, theirs.center)


@pytest.mark.parametrize(("batches", "momentum"), [(0, 0.996), (999, 1.0)])
def test_the_teacher_follows_the_student(batches, momentum):
    method = disturbed(dino())
    method.batches = batches
    method.step(views(2))
    teacher = {**method.backbone.state_dict(), **method.head.state_dict()}
    teacher = {name: value.clone() for name, value in teacher.items()}
    student = {**method.student.state_dict(), **method.student_head.state_dict()}
    method.after_update()
    after = {**method.backbone.state_dict(), **method.head.state_dict()}
    for name in ("layer.weight", "layers.0.weight", "last_layer.weight_v"):
        torch.testing.assert_close(after[name], momentum * teacher[name] + (1 - momentum) * student[name])


def test_the_last_layer_is_held_still_in_the_first_epoch():
    method = dino()
    for batches, held in ((0, True), (9, True), (10, False)):
        method.batches = batches
        method.zero_grad()
        method.step(views(2))["loss"].backward()
        method.on_before_optimizer_step(None)
        assert (method.student_head.last_layer.weight_v.grad is None) == held
        assert method.student.layer.weight.grad.any()


def test_schedules_are_the_papers():
    method = dino()
    optimiser = method.configure_optimizers()
    for group in optimiser.param_groups:
        group["peak_weight_decay"] = group["weight_decay"]
    decayed, kept = sorted(optimiser.param_groups, key=lambda group: -group["weight_decay"])
    assert (decayed["weight_decay"], decayed["lr"], kept["weight_decay"]) == (0.04, 5e-4, 0.0)
    assert method.weight_decay(decayed, 0) == pytest.approx(0.04)
    assert method.weight_decay(decayed, 500) == pytest.approx((0.04 + 0.4) / 2, rel=1e-2)
    assert method.weight_decay(decayed, 999) == pytest.approx(0.4)
    assert {method.weight_decay(kept, batches) for batches in (0, 500, 999)} == {0.0}

    for epoch, temperature in ((0, 0.04), (15, 0.055), (30, 0.07), (99, 0.07)):
        method.batches = 10 * epoch
        assert method.teacher_temperature() == pytest.approx(temperature)
    # In a run shorter than the warm-up, the warm-up takes half of the run.
    method.budget = Budget(batch_size=256, batches_per_epoch=10, epochs=10)
    method.batches = 25
    assert method.teacher_temperature() == pytest.approx(0.055)


def test_the_centre_is_part_of_the_state():
    method = disturbed(dino())
    restored = dino()
    restored.load_state_dict(method.state_dict())
    assert torch.equal(restored.criterion.center, method.criterion.center)
    assert method.criterion.center.any()
