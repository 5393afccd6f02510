"""MAE: a masked autoencoder that predicts most patches from few (He et al. 2022).

"The paper" is https://arxiv.org/abs/2111.06377; "the authors' code" is https://github.com/facebookresearch/mae. There
are two differences from both. The encoder starts from the weights of the backbone and keeps the backbone's (learned)
position embeddings, so that pretrained weights can be trained further. There is no random crop, because the pair
strategy makes the views.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from lightly.models.modules.masked_vision_transformer_decoder_timm import MaskedVisionTransformerDecoderTIMM
from lightly.models.modules.masked_vision_transformer_timm import MaskedVisionTransformerTIMM
from lightly.models.utils import get_at_index, normalize_mean_var, patchify, set_at_index
from timm.layers import PatchEmbed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from lenskit.plugin import Backbone, Batch, Method, UsageError, at_most

Width = Annotated[int, Gt(0), at_most(10**6)]


VIT = "timm:vit_tiny_patch16_224"
"""Default backbone: the smallest ViT with plain patches."""


class MAE(Method):
    """MAE: a ViT sees a quarter of the patches; a decoder predicts the other pixels.

    An image is embedded by the backbone alone: the whole image goes through the ViT. The features are its class token
    or the mean of its patches, as the timm model defines. The decoder is not used after training.

    Args:
        backbone: Network whose features are learned: a ViT of timm.
        mask_ratio: Share of the patches that are hidden (paper, Sec. 4.1: 0.75).
        normalize_target: Whether the pixels to predict are normalised patch by patch (paper, Table 1d: better).
        decoder_dim: Width of the decoder: a multiple of 4 and of `decoder_heads` (paper, Table 1b: 512).
        decoder_depth: Number of blocks of the decoder (paper, Table 1a: 8).
        decoder_heads: Number of attention heads of the decoder (authors' code: 16).

    Raises:
        UsageError: The backbone is not a ViT, the images have too few patches, or the decoder's width is not allowed.
    """

    views = 1
    judged_by = "probe"
    default_sections = MappingProxyType({"pairs": {"name": "single"}, "backbone": {"name": VIT}})
    # Paper, App. A.1, Table 8, for a batch of 4096; the table states the learning rate for a batch of 256.
    optimizer_defaults = MappingProxyType(
        {"name": "adamw", "lr": 1.5e-4, "weight_decay": 0.05, "betas": (0.9, 0.95), "warmup_epochs": 40}
    )

    def __init__(
        self,
        backbone: Backbone,
        *,
        mask_ratio: Annotated[float, Gt(0), Lt(1)] = 0.75,
        normalize_target: bool = True,
        decoder_dim: Width = 512,
        decoder_depth: Annotated[int, Ge(1), at_most(256)] = 8,
        decoder_heads: Annotated[int, Ge(1), at_most(1024)] = 16,
    ) -> None:
        super().__init__(backbone)
        vit = _vit(backbone)
        patches, self.patch = vit.patch_embed.num_patches, vit.patch_embed.patch_size[0]
        self.prefix = vit.num_prefix_tokens
        self.kept = int(patches * (1 - mask_ratio))
        if not 0 < self.kept < patches:
            raise UsageError(
                f"method 'mae' hides {mask_ratio:g} of an image's patches and sees the rest, but images of "
                f"{backbone.size} pixels have {patches} of {self.patch} pixels: use larger images or smaller patches"
            )
        if decoder_dim % 4 or decoder_dim % decoder_heads:
            raise UsageError(f"decoder_dim is {decoder_dim}: use a multiple of 4 and of decoder_heads={decoder_heads}")
        self.normalize_target = normalize_target
        self.embed_tokens = nn.Linear(vit.embed_dim, decoder_dim)
        self.decoder = MaskedVisionTransformerDecoderTIMM(
            patches, decoder_dim, decoder_depth, decoder_heads, num_prefix_tokens=self.prefix
        )
        self.predict_pixels = nn.Linear(decoder_dim, self.patch**2 * backbone.channels)
        # The tuple keeps the wrapper of the backbone from being registered as a second module.
        unused = nn.Parameter(torch.zeros(1, 1, vit.embed_dim), requires_grad=False)
        self._through = (MaskedVisionTransformerTIMM(vit, unused, "skip", pos_embed_initialization="skip"),)
        # Some models have a norm after the mean of the patches. It gets no gradient from the loss.
        vit.fc_norm.requires_grad_(False)

    @property
    def masked_vit(self) -> MaskedVisionTransformerTIMM:
        """The backbone's ViT, which can encode a part of the tokens."""
        return self._through[0]

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the mean squared error of the hidden patches' pixels (paper, Sec. 3)."""
        images = batch.views[0]
        seen, hidden = self.masks(batch)
        tokens = self.masked_vit.encode(images, idx_keep=seen)
        embedded = self.embed_tokens(tokens)
        unknown = self.decoder.mask_token.to(embedded.dtype).expand(len(images), self.decoder.sequence_length, -1)
        decoded = self.decoder(set_at_index(unknown, seen, embedded))
        predicted = self.predict_pixels(get_at_index(decoded, hidden))
        target = get_at_index(patchify(images, self.patch), hidden - self.prefix)
        if self.normalize_target:
            target = normalize_mean_var(target)
        loss = (predicted - target).square().mean()
        embedding = self.masked_vit.vit.forward_head(tokens.detach(), pre_logits=True)
        return {"loss": loss, "embedding": embedding.detach()}

    def masks(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the indices (n, number) of the visible and of the hidden tokens.

        Prefix tokens such as the class token are always visible. The random numbers belong to the lenses, so the masks
        do not depend on the distribution of lenses over processes.
        """
        patches = self.decoder.num_patches
        order = self.rng(batch, "mask").uniform("order", patches).argsort(dim=1, stable=True) + self.prefix
        always = torch.arange(self.prefix, device=order.device).expand(len(order), -1)
        return torch.cat([always, order[:, : self.kept]], 1), order[:, self.kept :]


def _vit(backbone: Backbone) -> VisionTransformer:
    """Return the backbone's ViT.

    Raises:
        UsageError: The backbone has no ViT, or its ViT does not have plain patches and position embeddings.
    """
    network = getattr(backbone, "network", None)
    instead = f"use --backbone {VIT}"
    if not isinstance(network, VisionTransformer):
        raise UsageError(f"method 'mae' needs a ViT: {instead}")
    plain = type(network) is VisionTransformer and isinstance(network.patch_embed, PatchEmbed)
    if not plain or network.pos_embed is None or network.attn_pool is not None:
        raise UsageError(
            f"method 'mae' needs a ViT of plain patches and position embeddings whose features are its class token or "
            f"the mean of its patches: {instead}"
        )
    return network
