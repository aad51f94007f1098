"""Writing a model as a folder that onnxruntime can run: graph, settings, preprocessing, README."""

import json
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from hf_imgcls.images import input_size
from hf_imgcls.machine import package_versions
from hf_imgcls.serving.classifier import activation
from hf_imgcls.serving.export.check import describe_accuracy
from hf_imgcls.serving.export.folder import EXPORT, INT8, write_manifest
from hf_imgcls.serving.onnx.graph import OPSET, quantize, silenced, write_onnx
from hf_imgcls.serving.onnx.pixels import describe_pixels, usage
from hf_imgcls.serving.onnx.session import CONFIG, INPUT, MODEL, OUTPUT
from hf_imgcls.store import read_json, write_json

PREPROCESSING, README = "preprocessing.json", "README.md"
_NOT_EXPORTED = ("_name_or_path", "auto_map")  # of the configuration: the network's code is in the graph


def write_onnx_export(folder: Path, network, processor, about: dict[str, Any]) -> None:
    """Write a network in float32 with its settings and preprocessing; `write_onnx_readme` completes the folder.

    Args:
        about: goes into export.json.

    Raises:
        InputError: torch cannot translate the network, or its images have no fixed size.
    """
    size, config = input_size(processor), network.config
    write_onnx(network, size, folder / MODEL)
    settings = json.loads(config.to_json_string(use_diff=False))
    settings |= {"id2label": config.id2label, "label2id": config.label2id, "dtype": "float32"}  # timm leaves them out
    write_json(folder / CONFIG, {key: value for key, value in settings.items() if key not in _NOT_EXPORTED})
    with silenced():  # timm's warns that it is in config.json
        processor.save_pretrained(folder)
    pixels = describe_pixels(processor)
    write_json(
        folder / PREPROCESSING,
        {
            "input": INPUT, "layout": "NCHW", "dtype": "float32",
            "image": "first frame, EXIF orientation applied, converted to RGB", **pixels,
            "output": OUTPUT, "activation": activation(config),
            "labels": [config.id2label[i] for i in range(config.num_labels)],
        },
    )  # fmt: skip
    versions = {package: metadata.version(package) for package in ("onnx", "onnxscript", "onnxruntime")}
    write_manifest(folder, {**about, "precision": "float32", "opset": OPSET, "versions": package_versions() | versions})


def write_int8(folder: Path) -> None:
    """Write the folder `int8` in that of an export: its dense layers in int8, all else the same."""
    quantized = folder / INT8
    quantized.mkdir()
    quantize(folder / MODEL, quantized / MODEL)
    about = read_json(folder / EXPORT)
    for name in about["files"]:
        if not name.startswith(MODEL):
            shutil.copy(folder / name, quantized / name)
    write_manifest(quantized, {**about, "precision": INT8})


def write_onnx_readme(folder: Path, about: dict[str, Any]) -> None:
    """Write how to use an exported folder, and what export.json says about its check."""
    pixels = read_json(folder / PREPROCESSING)
    precision = "in float32" if about["precision"] == "float32" else "with dense layers in int8 (dynamic quantization)"
    scores = {"none": "the logits themselves", "sigmoid": "their sigmoids"}.get(pixels["activation"], "their softmax")
    lines = [
        f"# {about['model']} as ONNX",
        f"Opset {about['opset']}, {precision}; `{INPUT}` (any number of images, 3, {pixels['height']}, "
        f"{pixels['width']}) to `{OUTPUT}`, whose scores are {scores}.",
        "In this folder, with onnxruntime alone:" if pixels["resize"] else "In this folder:",
        f"```python\n{usage(pixels)}\n```",
        "`hf-imgcls predict` accepts this folder as a model. `preprocessing.json` describes the preprocessing, "
        "`export.json` the check and the package versions.",
    ]
    if "checked" in about:
        checked = about["checked"]
        lines.append(
            f"Parity check passed: onnxruntime reproduces the model's predictions on {checked['images']} "
            f"{checked['split'] or 'synthetic'} images (top-1 agreement {checked['top1_agreement']:.4f}, max abs. "
            f"probability difference {checked['max_difference']:.1e})."
        )
    if "cost_of_int8" in about:
        int8 = about["cost_of_int8"]
        accuracy = ", ".join(f"{precision} {text}" for precision, text in describe_accuracy(int8).items())
        lines.append(f"Accuracy on {int8['images']} {int8['split']} images: {accuracy}.")
    (folder / README).write_text("\n\n".join(lines) + "\n", encoding="utf-8")
