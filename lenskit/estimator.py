"""Trained encoder as a transformer of scikit-learn."""

from __future__ import annotations

import copy
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from lenskit.api import load_encoder
from lenskit.encoder import find_device
from lenskit.errors import UsageError


class LensEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Transformer from images (n, C, H, W) to features (n, d) by a trained encoder.

    `fit` loads the encoder and trains nothing: `LensEncoder("runs/a").fit_transform(images)`. Features of an image do
    not depend on the other images.

    Args:
        path: Path or name for `lenskit.load`: a run, the folder of an encoder, or an export for timm.
        batch_size: Images per batch.
        device: `cpu`, `cuda`, ...; `auto` selects a GPU if there is one.

    Attributes:
        encoder_: The encoder, after `fit`.
        image_shape_: Channels, height and width of the images; None if the encoder takes any shape.
    """

    def __init__(self, path: str | PathLike[str], batch_size: int = 256, device: str = "auto") -> None:
        self.path = path
        self.batch_size = batch_size
        self.device = device

    def fit(self, X: Any = None, y: Any = None) -> LensEncoder:
        """Load the encoder.

        Args:
            X: Images (n, C, H, W), to check their shape only; or nothing.
            y: Ignored.

        Raises:
            UsageError: (a ValueError) There is no encoder at the path, no such device, or the images have the wrong
                shape for the encoder.
        """
        if self.batch_size < 1:
            raise UsageError(f"batch_size must be 1 or more, got {self.batch_size}")
        find_device(self.device)
        encoder = load_encoder(self.path)
        if X is not None:
            encoder.check_shape(np.shape(X))
        self.encoder_ = encoder
        self.image_shape_ = encoder.image_shape
        self._n_features_out = encoder.features
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Compute features of images.

        Args:
            X: Images (n, C, H, W), an array or a tensor, in any unit.

        Returns:
            (n, d).

        Raises:
            NotFittedError: `fit` was not called.
            UsageError: (a ValueError) The images have the wrong shape for the encoder.
            LenskitError: Images have pixels that are not finite.
        """
        check_is_fitted(self, "encoder_")
        encoder = self.encoder_.to(find_device(self.device))
        return encoder.embed(encoder.images(X), self.batch_size)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for pickle, with the weights on the CPU.

        A machine without a GPU can then load the state.
        """
        state: dict[str, Any] = dict(super().__getstate__())
        if "encoder_" in state:
            state["encoder_"] = copy.deepcopy(state["encoder_"]).cpu()
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = False
        return tags
