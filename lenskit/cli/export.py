"""Verb `lenskit export`."""

from __future__ import annotations

import logging

import click

FORMATS = ("timm", "onnx")


@click.command("export", short_help="Write a trained encoder for timm or ONNX")
@click.argument("run", metavar="RUN")
@click.option("--format", type=click.Choice(FORMATS), default="timm", show_default=True, help="Format of the export.")
@click.option("-o", "--out", metavar="DIR", help="Folder to write. [default: RUN/export/FORMAT]")
@click.option("--overwrite", is_flag=True, help="Overwrite the files of an earlier export.")
def command(run: str, format: str, out: str | None, overwrite: bool) -> None:
    """Write a trained encoder for use without lenskit: `lenskit export runs/a`.

    The timm format is a folder with model.safetensors, config.json and a model card, as on the Hugging Face Hub. timm
    loads it without lenskit. The ONNX format is one file that includes the stretch and the resizing of images. RUN is
    a run directory, RUN/best, or the folder of an encoder.
    """
    from lenskit.api import export

    folder = export(run, format, out or None, overwrite=overwrite)
    logging.getLogger("lenskit").info(
        "the encoder for %s is in %s; its README.md explains how to load it", format, folder
    )
