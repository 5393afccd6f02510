"""Backbones from torchvision and timm."""
