"""Backbones from torchvision and timm, and encoders with public weights."""
