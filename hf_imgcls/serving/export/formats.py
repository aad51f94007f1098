"""The table of export formats."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from hf_imgcls.errors import InputError
from hf_imgcls.serving.classifier import Classifier
from hf_imgcls.serving.export.folder import EXPORT
from hf_imgcls.serving.onnx.graph import import_exporter
from hf_imgcls.serving.onnx.session import open_onnx
from hf_imgcls.serving.onnx.write import write_int8, write_onnx_export, write_onnx_readme
from hf_imgcls.store import read_json


class ExportFormat(NamedTuple):
    """How a format is written and opened; `check_export` compares any opened export with its model."""

    require: Callable[[], None]  # raises InputError where a package is missing
    write: Callable[[Path, Any, Any, dict], None]  # (folder, network, processor, for export.json), in float32
    quantize: Callable[[Path], None] | None  # writes the folder int8 in that of an export; None: the format has no int8
    write_readme: Callable[[Path, dict], None]  # (folder, content of export.json)
    open: Callable[[str, torch.device | str], Classifier]  # (name of the folder, device)
    files: str  # a pattern of the files with the model


FORMATS = {
    "onnx": ExportFormat(import_exporter, write_onnx_export, write_int8, write_onnx_readme, open_onnx, "model.onnx*")
}


def open_exported(name: str, device: torch.device | str = "cpu") -> Classifier:
    """Open the folder of an export, in the format that its export.json names.

    Raises:
        InputError: a package or file is missing, a file is damaged, or the device is not available.
    """
    try:
        about = read_json(Path(name).expanduser() / EXPORT)
        opened = FORMATS[about.get("format", "onnx")].open  # earlier versions wrote no format, it was onnx
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"model {name!r}: {EXPORT} is damaged or of a later version; export the model again") from None
    return opened(name, device)
