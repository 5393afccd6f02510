"""A trained encoder as a transformer of scikit-learn."""

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
    """Images (n, C, H, W) to features (n, d), by an encoder that lenskit trained.

    `fit` loads the encoder and learns nothing: `LensEncoder("runs/a").fit_transform(images)`. What it then does to an
    image does not depend on the other images.

    Args:
        path: Whatever `lenskit.load` opens: a run, an encoder's folder, or an export for timm.
        batch_size: Images at a time.
        device: `cpu`, `cuda`, ...; `auto` takes a GPU if there is one.

    Attributes:
        encoder_: The encoder, after `fit`.
        image_shape_: Channels, height and width of the images that it takes.
    """

    def __init__(self, path: str | PathLike[str], batch_size: int = 256, device: str = "auto") -> None:
        self.path = path
        self.batch_size = batch_size
        self.device = device

    def fit(self, X: Any = None, y: Any = None) -> LensEncoder:
        """Loads the encoder.

        Args:
            X: Images (n, C, H, W), looked at for their shape only; or nothing.
            y: Nothing that matters.

        Raises:
            UsageError: (a ValueError) if there is no encoder at the path, no such device, or the images have another
                shape than it takes.
        """
        if self.batch_size < 1:
            raise UsageError(f"batch_size is the number of images at a time, 1 or more, got {self.batch_size}")
        find_device(self.device)
        encoder = load_encoder(self.path)
        if X is not None:
            encoder.check_shape(np.shape(X))
        self.encoder_ = encoder
        self.image_shape_ = encoder.image_shape
        self._n_features_out = encoder.features
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Features of images.

        Args:
            X: Images (n, C, H, W), an array or a tensor, in any unit.

        Returns:
            (n, d).

        Raises:
            NotFittedError: before `fit`.
            UsageError: (a ValueError) if the images have another shape than the encoder takes.
            LenskitError: if images hold pixels that are not finite.
        """
        check_is_fitted(self, "encoder_")
        encoder = self.encoder_.to(find_device(self.device))
        return encoder.embed(encoder.images(X), self.batch_size)

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: the weights on the CPU, so that a machine without a GPU reads them."""
        state: dict[str, Any] = dict(super().__getstate__())
        if "encoder_" in state:
            state["encoder_"] = copy.deepcopy(state["encoder_"]).cpu()
        return state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = False
        return tags
