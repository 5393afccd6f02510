"""Export of an encoder with its preprocessing as an ONNX file."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import torch
from torch import Tensor, nn

from lenskit.encoder import Encoder
from lenskit.errors import LenskitError
from lenskit.exporting.card import Facts, readme

TOLERANCE = 1e-4
"""Maximum difference of features due to rounding, as a fraction of the largest feature."""

NEEDED = ("onnx", "onnxscript")


class _Whole(nn.Module):
    """Encoder without its checks, which depend on pixel values and cannot be traced."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.preprocess, self.backbone = encoder.preprocess, encoder.backbone

    def forward(self, images: Tensor) -> Tensor:
        return self.backbone(self.preprocess(images))


def contents(encoder: Encoder, facts: Facts) -> Mapping[str, str | bytes]:
    """Return the names and contents of the files; the model card comes last.

    Raises:
        LenskitError: A package of the extra `onnx` is missing, or the backbone cannot be exported. Or, tested only if
            onnxruntime is installed, the features of the file differ from the encoder's.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise LenskitError(f"ONNX needs {' and '.join(missing)}: pip install 'lenskit-ssl[onnx]'")
    model = _Whole(encoder).eval()
    images = torch.rand(2, *encoder.fixed_shape, generator=torch.Generator().manual_seed(0))
    content = _export(model, images)
    if find_spec("onnxruntime"):
        _check(content, model, images)
    return {"encoder.onnx": content, "README.md": readme(encoder, facts, "onnx")}


def _export(model: nn.Module, images: Tensor) -> bytes:
    shapes = ({0: torch.export.Dim("n", min=1)},)
    speaking = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in speaking]
    try:
        for logger in speaking:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(StringIO()), tempfile.TemporaryDirectory() as folder:
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                model, (images,), dynamo=True, input_names=["images"], output_names=["features"], dynamic_shapes=shapes,
                verbose=False,
            )  # fmt: skip
            assert program is not None
            program.save(Path(folder) / "encoder.onnx", external_data=False)
            return (Path(folder) / "encoder.onnx").read_bytes()
    except Exception as error:  # the exporter raises exceptions of many types
        reason = " ".join(str(error).split())[:200]
        raise LenskitError(f"this backbone cannot be exported to ONNX ({type(error).__name__}: {reason})") from error
    finally:
        for logger, level in zip(speaking, before, strict=True):
            logger.setLevel(level)


def _check(content: bytes, model: nn.Module, images: Tensor) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for batch in (images, images[:1]):
        with torch.inference_mode():
            ours = model(batch)
        theirs = torch.from_numpy(session.run(None, {"images": batch.numpy()})[0])
        error = float((ours - theirs).abs().max() / ours.abs().max().clamp(min=1e-12))
        if not error <= TOLERANCE:
            raise LenskitError(f"the features of the ONNX file differ from the encoder's by a fraction of {error:.1g}")
