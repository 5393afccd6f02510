"""`lenskit export`."""

from __future__ import annotations

import logging

import click

FORMATS = ("timm", "onnx")


@click.command("export", short_help="Write a trained encoder for timm or ONNX")
@click.argument("run", metavar="RUN")
@click.option("--format", type=click.Choice(FORMATS), default="timm", show_default=True, help="What reads it.")
@click.option("-o", "--out", metavar="DIR", help="The folder to write. [default: RUN/export/FORMAT]")
@click.option("--overwrite", is_flag=True, help="Replace the files of an earlier export.")
def command(run: str, format: str, out: str | None, overwrite: bool) -> None:
    """Write a trained encoder for those who do not have lenskit: `lenskit export runs/a`.

    For timm: model.safetensors, config.json and a model card, a folder as on the Hugging Face Hub; timm loads it by
    itself. For ONNX: one file with stretching and resizing in it. RUN is a run, RUN/best, or an encoder's folder.
    """
    from lenskit.api import export

    folder = export(run, format, out or None, overwrite=overwrite)
    logging.getLogger("lenskit").info("the encoder for %s is in %s; its README.md says how to load it", format, folder)
