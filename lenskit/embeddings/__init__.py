"""Features of images with what is known of these: a subject of evaluations, and files of several formats."""

from lenskit.embeddings.embeddings import BACKBONE, PROJECTION, Embeddings
from lenskit.embeddings.files import is_embeddings, may_be_embeddings
from lenskit.embeddings.making import Embedder, embed

__all__ = ["BACKBONE", "PROJECTION", "Embedder", "Embeddings", "embed", "is_embeddings", "may_be_embeddings"]
