"""Post-training quantization by NNCF: convolutions and dense layers in int8, calibrated on real images."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from hf_imgcls.data import naming_changed
from hf_imgcls.images import process_image, read_image
from hf_imgcls.machine import say
from hf_imgcls.models import as_input_error
from hf_imgcls.serving.export.calibration import CalibrationImages
from hf_imgcls.serving.export.folder import EXPORT, INT8, write_manifest
from hf_imgcls.serving.onnx.write import silenced
from hf_imgcls.serving.openvino.session import FILES, MODEL, import_without_telemetry, open_openvino, read_model
from hf_imgcls.serving.openvino.write import save_graph
from hf_imgcls.store import read_json


def write_openvino_int8(folder: Path, images: CalibrationImages) -> None:
    """Write the folder `int8` in that of an export: convolutions and dense layers in int8, all else the same."""
    say(f"export: calibrating int8 on {len(images.rows)} {images.split} images")
    quantized, nncf = folder / INT8, import_without_telemetry("nncf")
    quantized.mkdir()
    model = read_model(folder / MODEL)
    processor = open_openvino(str(folder)).processor
    refusals = [each for each in vars(nncf.errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    with silenced(), as_input_error("export: --quantize", *refusals):
        save_graph(_quantize(nncf, model, images.rows, processor), quantized / MODEL)
    about = read_json(folder / EXPORT)
    for name in about["files"]:
        if not name.startswith(FILES):
            shutil.copy(folder / name, quantized / name)
    calibrated = {"split": images.split, "images": len(images.rows)}
    write_manifest(quantized, {**about, "precision": INT8, "calibrated": calibrated})


def _quantize(nncf: ModuleType, model: Any, rows: Sequence[dict], processor: Any) -> Any:
    def pixels(row: dict) -> np.ndarray:
        with naming_changed([row["image"]]):
            return process_image(processor, read_image(row["image"])).float().numpy()[None]

    # For attention NNCF leaves some operators alone and smooths the ranges of others; without it its int8 is useless.
    kind = nncf.ModelType.TRANSFORMER if has_attention(model) else None
    return nncf.quantize(model, nncf.Dataset(rows, pixels), subset_size=len(rows), model_type=kind)


def has_attention(model: Any) -> bool:
    """Whether a graph multiplies two matrices neither of which is a weight."""
    constant: set[str] = set()
    for operator in model.get_ordered_ops():
        kind, sources = operator.get_type_name(), {value.get_node().get_name() for value in operator.input_values()}
        if kind == "Constant" or (sources and sources <= constant):
            constant.add(operator.get_name())
        elif kind == "ScaledDotProductAttention" or (kind == "MatMul" and sources.isdisjoint(constant)):
            return True
    return False
