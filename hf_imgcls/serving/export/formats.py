"""The formats that a model is exported in: one entry of the table each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.serving.classifier import Classifier
from hf_imgcls.serving.export.folder import EXPORT
from hf_imgcls.serving.onnx.graph import import_exporter
from hf_imgcls.serving.onnx.session import open_onnx
from hf_imgcls.serving.onnx.write import write_int8, write_onnx_export, write_onnx_readme
from hf_imgcls.store import read_json


class ExportFormat(NamedTuple):
    """How a format is written and opened; `check_export` compares what is opened with the model, in any format.

    Attributes:
        require: raises InputError where a package is missing.
        write: (folder, network, processor, about) writes the model in float32, with `about` in export.json.
        quantize: (folder) writes the folder `int8` in that of an export; None where the format has no int8.
        finish: (folder, about) writes the README of an export from what export.json says.
        open: (name, device) opens such a folder.
        files: a pattern of the files that have the model.
    """

    require: Callable[[], None]
    write: Callable[[Path, Any, Any, dict[str, Any]], None]
    quantize: Callable[[Path], None] | None
    finish: Callable[[Path, dict[str, Any]], None]
    open: Callable[[str, torch.device | str], Classifier]
    files: str


FORMATS = {
    "onnx": ExportFormat(import_exporter, write_onnx_export, write_int8, write_onnx_readme, open_onnx, "model.onnx*")
}


def find_format(name: str) -> ExportFormat:
    """
    Raises:
        InputError: there is no such format.
    """
    if name not in FORMATS:
        raise InputError(f"--format: found {name!r}, expected {' or '.join(FORMATS)}{nearest(name, FORMATS)}")
    return FORMATS[name]


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
