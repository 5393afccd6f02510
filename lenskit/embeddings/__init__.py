"""Features of images with what is known of these: a subject of evaluations, and files of several formats."""

from lenskit.embeddings.embeddings import BACKBONE, PROJECTION, Embeddings
from lenskit.embeddings.files import is_embeddings, may_be_embeddings

__all__ = ["BACKBONE", "PROJECTION", "Embeddings", "is_embeddings", "may_be_embeddings"]
