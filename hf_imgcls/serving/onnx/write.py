"""Writing a model as a folder that onnxruntime can run: graph, in float32 or int8, settings, preprocessing, README."""

import contextlib
import io
import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hf_imgcls.errors import InputError
from hf_imgcls.images import input_size
from hf_imgcls.machine import package_versions, readable_precision
from hf_imgcls.models import applied_thresholds, as_input_error
from hf_imgcls.scoring import REJECTION
from hf_imgcls.serving.export.calibration import CalibrationImages
from hf_imgcls.serving.export.folder import EXPORT, INT8, write_manifest
from hf_imgcls.serving.inference import activation, exported_rejection
from hf_imgcls.serving.onnx.pixels import describe_pixels
from hf_imgcls.serving.onnx.session import CONFIG, INPUT, MODEL, OUTPUT, import_onnxruntime
from hf_imgcls.store import read_json, write_json

# The newest that torch's exporter writes directly; for newer ones it runs a version converter on the result.
OPSET = 23
# Dense layers. Convolutions become ConvInteger, which took 1.5 to 10 times the time of float32 wherever it was
# measured, and dynamic quantization supports attention only as an older operator.
_QUANTIZED = ["MatMul", "Gemm"]
PREPROCESSING = "preprocessing.json"
_NOT_EXPORTED = ("_name_or_path", "auto_map")  # of the configuration: the network's code is in the graph


def write_onnx_export(folder: Path, network, processor, about: dict[str, Any]) -> None:
    """Write a network in float32 with its settings and preprocessing; `write_onnx_readme` completes the folder.

    Args:
        about: goes into export.json.
    """
    write_onnx(network, input_size(processor), folder / MODEL)
    write_settings(folder, network.config, processor)
    write_manifest(folder, {**about, "precision": "float32", "opset": OPSET, "versions": exporter_versions()})


def write_settings(folder: Path, config, processor) -> None:
    """Write what a graph does not have: configuration, image processor, and the preprocessing for other programs."""
    settings = json.loads(config.to_json_string(use_diff=False))
    settings |= {"id2label": config.id2label, "label2id": config.label2id, "dtype": "float32"}  # timm leaves them out
    left_out = _NOT_EXPORTED if exported_rejection(config) else (*_NOT_EXPORTED, REJECTION)
    write_json(folder / CONFIG, {key: value for key, value in settings.items() if key not in left_out})
    with silenced():  # timm's warns that it is in config.json
        processor.save_pretrained(folder)
    pixels, rejection = describe_pixels(processor), exported_rejection(config)
    write_json(
        folder / PREPROCESSING,
        {
            "input": INPUT, "layout": "NCHW", "dtype": "float32",
            "image": "first frame, EXIF orientation applied, converted to RGB", **pixels,
            "output": OUTPUT, "activation": activation(config),
            "labels": [config.id2label[i] for i in range(config.num_labels)],
            **({REJECTION: rejection._asdict()} if rejection else {}),
            **({} if (thresholds := applied_thresholds(config)) is None else {"thresholds": thresholds.tolist()}),
        },
    )  # fmt: skip


def exporter_versions() -> dict[str, str]:
    """Versions of the packages that an export depends on."""
    return package_versions() | {
        package: metadata.version(package) for package in ("onnx", "onnxscript", "onnxruntime")
    }


def write_int8(folder: Path, images: CalibrationImages | None = None) -> None:
    """Write the folder `int8` in that of an export: its dense layers in int8, all else the same; without images."""
    quantized = folder / INT8
    quantized.mkdir()
    quantize(folder / MODEL, quantized / MODEL)
    about = read_json(folder / EXPORT)
    for name in about["files"]:
        if not name.startswith(MODEL):
            shutil.copy(folder / name, quantized / name)
    write_manifest(quantized, {**about, "precision": INT8})


class _Logits(nn.Module):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return self.network(pixel_values=pixel_values).logits


def import_exporter() -> None:
    """Check that the packages which exporting needs are installed."""
    import_onnxruntime()
    for package in ("onnx", "onnxscript"):
        try:
            __import__(package)
        except ImportError:
            raise InputError(f'export: {package} is not installed; pip install "hf-imgcls[onnx]"') from None


def write_onnx(network: nn.Module, size: tuple[int, int], file: Path, opset: int = OPSET) -> None:
    """Write a network, float32 and in eval mode, for any batch size; weights of over 2 GB go into `<file>.data`.

    Args:
        size: height and width of its input.
    """
    try:
        with silenced(), torch.no_grad(), readable_precision():
            torch.onnx.export(
                _Logits(network).eval(),
                (torch.zeros(2, 3, *size),),
                str(file),
                dynamo=True,
                verbose=False,
                external_data=False,
                opset_version=opset,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes={INPUT: {0: "batch"}},
            )
    except torch.onnx.OnnxExporterError as error:  # whatever torch.export and the translation met is its cause
        cause: BaseException = error
        while cause.__cause__ is not None:  # the exporter's own message fills a page
            cause = cause.__cause__
        if isinstance(cause, (MemoryError, torch.OutOfMemoryError)):
            raise
        lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
        reason = f"{type(cause).__name__}: {lines[0] if lines else ''}"[:300]
        raise InputError(f"export: torch cannot turn {type(network).__name__} into ONNX: {reason}") from None


def quantize(file: Path, target: Path) -> None:
    """Dynamic quantization: int8 weights of dense layers, with a scale per output channel."""
    with silenced(), as_input_error("export: --quantize"):
        import onnx
        from onnxruntime.quantization import quantize_dynamic

        model = onnx.load(file)
        # torch has recorded the shapes of the dense layers before they are transposed.
        del model.graph.value_info[:]
        quantize_dynamic(
            model,
            target,
            op_types_to_quantize=_QUANTIZED,
            per_channel=True,
            reduce_range=True,  # to 7 bits: 8 overflow on CPUs without int8 dot products
            use_external_data_format=file.with_name(f"{file.name}.data").exists(),
        )


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Suppress what libraries print, warn and log."""
    handlers, disabled = logging.root.handlers[:], logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(action="ignore"),
        ):
            yield
    finally:
        logging.disable(disabled)
        logging.root.handlers[:] = handlers  # the quantizer's logging adds one
