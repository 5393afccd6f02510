"""lenskit: learning from strong-gravitational-lens images without labels."""

__version__ = "0.1.0"
