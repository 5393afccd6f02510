"""Models of timm as backbones."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch

import lenskit
from lenskit.encoders.encoder_run import open_run
from lenskit.options import options_of
from lenskit.plugin import LenskitError, UsageError
from lenskit_backbones.timm import Timm

VIT = "vit_tiny_patch16_224"
SMALL_VIT = "test_vit"  # timm's own model for tests: 64 features, patches of 16 pixels


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "features"),
    # mobilenetv3's num_features (576) is not the length of its output
    [("resnet10t", 512), (VIT, 192), ("mobilenetv3_small_100", 1024), ("swin_tiny_patch4_window7_224", 768)],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_become_features(model, features, channels):
    backbone = Timm(channels, 64, model=model)
    assert backbone.training
    assert backbone.features == features
    assert backbone(torch.randn(2, channels, 64, 64)).shape == (2, features)


def test_building_a_backbone_leaves_its_batch_norms_untouched():
    state = Timm(1, 64, model="resnet10t").network.state_dict()
    assert all(value == 0 for name, value in state.items() if name.endswith("num_batches_tracked"))


def test_parameters_are_timms_without_the_classifier():
    wanted = timm.create_model("resnet10t", num_classes=0)
    ours = Timm(3, 64, model="resnet10t")
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in wanted.parameters())


def test_a_size_that_does_not_divide_into_patches_is_refused():
    with pytest.raises(
        UsageError, match=f"timm:{VIT} takes sizes that are multiples of 16 pixels, .* have 100: .*96 or 112"
    ):
        Timm(1, 100, model=VIT)


@pytest.mark.slow
def test_a_size_that_a_model_cannot_take_is_refused():
    with pytest.raises(
        UsageError, match=r"timm:efficientformer_l1 cannot take 1 x 64 x 64 images .* usual size is 224 pixels"
    ):
        Timm(1, 64, model="efficientformer_l1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "size", "nearest"),
    [
        ("resnet10t", 61, 61), ("test_convnext", 66, 66), (SMALL_VIT, 112, 112),
        (SMALL_VIT, 110, 112), (SMALL_VIT, 66, 64), (SMALL_VIT, 150, 144), (SMALL_VIT, 5, 16),
        ("vit_small_patch14_dinov2", 110, 112), ("vit_small_patch14_dinov2", 66, 70),
        ("efficientformer_l1", 110, 224),
    ],
)  # fmt: skip
def test_the_nearest_size_that_a_model_takes(model, size, nearest):
    """Sizes depend on the architecture: any, multiples of 16 or 14 pixels, or 224."""
    assert Timm.nearest_size(size, model=model) == nearest


def test_an_unknown_name_is_refused_with_near_ones():
    with pytest.raises(UsageError, match=r"has no model 'resnet10': did you mean .*resnet10t"):
        Timm(1, 64, model="resnet10")


def test_an_unknown_tag_is_refused_with_those_there_are():
    with pytest.raises(UsageError, match=r"no weights 'mine' of resnet10t: it has resnet10t\.c3_in1k"):
        Timm(1, 64, model="resnet10t.mine")


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("model", ["resnet10t", SMALL_VIT])
def test_weights_answer_a_grey_image_as_in_timm(tmp_path, model, channels):
    torch.manual_seed(0)
    size = {} if model == "resnet10t" else {"img_size": 64}
    published = timm.create_model(model, num_classes=10, **size).eval()
    torch.save(published.state_dict(), tmp_path / "weights.pt")
    backbone = Timm(channels, 64, model=model, weights=str(tmp_path / "weights.pt")).eval()
    published.reset_classifier(0)
    grey = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        ours, theirs = backbone(grey.expand(-1, channels, -1, -1)), published(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "channels"), [("repvgg_a0", 1), ("fastvit_t8", 5), ("naflexvit_base_patch16_gap", 1)]
)
def test_every_layer_that_sees_the_image_is_adapted(tmp_path, model, channels):
    """The models have kernels of two sizes, and a linear layer over a patch's pixels."""
    torch.manual_seed(0)
    published = timm.create_model(model, num_classes=0).eval()
    torch.save(published.state_dict(), tmp_path / "weights.pt")
    backbone = Timm(channels, 64, model=model, weights=str(tmp_path / "weights.pt")).eval()
    grey = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        ours, theirs = backbone(grey.expand(-1, channels, -1, -1)), published(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(ours, theirs, atol=1e-4 * theirs.std().item(), rtol=1e-4)


@pytest.mark.parametrize("model", ["resnet10t", "test_vit", "test_efficientnet", "test_convnext", "test_mambaout"])
@pytest.mark.parametrize(("channels", "size"), [(1, 64), (5, 112)])
def test_families_take_images_at_their_own_size(model, channels, size):
    backbone = Timm(channels, size, model=model)
    assert backbone(torch.randn(2, channels, size, size)).shape == (2, backbone.features)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "size"), [("dla46x_c", 110), ("crossvit_9_240", 64)])
def test_whatever_a_model_raises_is_one_line_with_a_size_that_would_do(model, size):
    with pytest.raises(UsageError, match=rf"timm:{model} cannot take 1 x {size} x {size} images") as caught:
        Timm(1, size, model=model)
    assert "\n" not in str(caught.value)
    if "input.size=" in str(caught.value):
        would_do = int(str(caught.value).split("input.size=")[1].split()[0])
        assert Timm(1, would_do, model=model).features > 0
    else:
        assert model == "crossvit_9_240"  # accepts multiples of 120 pixels


def test_position_embeddings_of_another_size_are_interpolated_as_in_timm(tmp_path):
    torch.manual_seed(0)
    published = timm.create_model(SMALL_VIT, num_classes=0, in_chans=1, img_size=160).eval()
    torch.save(published.state_dict(), tmp_path / "weights.pt")
    backbone = Timm(1, 96, model=SMALL_VIT, weights=str(tmp_path / "weights.pt")).eval()
    published.set_input_size(img_size=(96, 96))
    images = torch.randn(2, 1, 96, 96)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), published(images))


def test_weights_of_another_model_are_refused(tmp_path):
    torch.save(timm.create_model("test_vit2", num_classes=0).state_dict(), tmp_path / "other.pt")
    with pytest.raises(LenskitError, match=r"other\.pt do not fit: .* is \(.*\) where \(.*\) is needed"):
        Timm(3, 64, model=VIT, weights=str(tmp_path / "other.pt"))


def test_a_failed_download_is_an_error_of_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(LenskitError, match=r"weights of resnet10t cannot be loaded .*use weights=FILE") as caught:
        Timm(1, 64, model="resnet10t", pretrained=True)
    assert "\n" not in str(caught.value)


def test_weights_exclude_pretrained():
    with pytest.raises(UsageError, match="exclude each other"):
        Timm(1, 64, model="resnet10t", pretrained=True, weights="a.pt")


def test_every_option_says_what_it_means():
    assert all(option.meaning for option in options_of(Timm))


@pytest.mark.parametrize("model", ["resnet10t", SMALL_VIT])
def test_it_is_the_model_of_timm_that_it_names(model):
    backbone = Timm(2, 96, model=model).eval()
    network, changes = backbone.as_timm()
    assert not changes
    assert network.pretrained_cfg["architecture"] == model
    images = torch.randn(2, 2, 96, 96)
    with torch.no_grad():
        assert torch.equal(network.eval()(images), backbone(images))


def test_a_model_in_a_folder(tmp_path):
    model = timm.create_model("test_resnet", num_classes=0, in_chans=1)
    folder = tmp_path / "model"
    timm.models.save_for_hf(model, folder, model_config={"num_classes": 0, "num_features": model.num_features})
    backbone = Timm(1, 32, model=f"local-dir:{folder}").eval()
    assert backbone(torch.rand(2, 1, 32, 32)).shape == (2, model.num_features)
    with pytest.raises(LenskitError, match="timm cannot open local-dir:nowhere: "):
        Timm(1, 32, model="local-dir:nowhere")


def test_a_folder_in_the_layout_of_timm_is_an_encoder(tmp_path: Path) -> None:
    model = timm.create_model("resnet10t", num_classes=0).eval()
    timm.models.save_for_hf(model, tmp_path / "model")
    encoder = lenskit.load(f"timm:local-dir:{tmp_path / 'model'}")
    images = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(encoder.backbone(images), model(images))
    run = open_run(f"timm:local-dir:{tmp_path / 'model'}")
    assert run.encoder().features == model.num_features
