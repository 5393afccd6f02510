"""Embeddings: features of images with metadata, in memory and in files."""

from lenskit.embeddings.embeddings import BACKBONE, PROJECTION, Embeddings
from lenskit.embeddings.files import is_embeddings, may_be_embeddings
from lenskit.embeddings.making import Embedder, embed

__all__ = ["BACKBONE", "PROJECTION", "Embedder", "Embeddings", "embed", "is_embeddings", "may_be_embeddings"]
