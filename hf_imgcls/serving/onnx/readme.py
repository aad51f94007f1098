"""The README of an export: how the graph is used, and what its check found."""

from pathlib import Path
from typing import Any

from hf_imgcls.serving.export.measure import describe_accuracy
from hf_imgcls.serving.onnx.pixels import usage
from hf_imgcls.serving.onnx.session import INPUT, OUTPUT
from hf_imgcls.serving.onnx.write import PREPROCESSING
from hf_imgcls.store import read_json

README = "README.md"


def write_onnx_readme(folder: Path, about: dict[str, Any]) -> None:
    """Write how to use an exported folder, and what export.json says about its check."""
    pixels = read_json(folder / PREPROCESSING)
    precision = "in float32" if about["precision"] == "float32" else "with dense layers in int8 (dynamic quantization)"
    lines = [
        f"# {about['model']} as ONNX",
        f"Opset {about['opset']}, {precision}; {describe_graph(pixels)}",
        "In this folder, with onnxruntime alone:" if pixels["resize"] else "In this folder:",
        f"```python\n{usage(pixels)}\n```",
        "`hf-imgcls predict` accepts this folder as a model. `preprocessing.json` describes the preprocessing, "
        "`export.json` the check and the package versions.",
    ]
    lines += describe_measured(about, "onnxruntime")
    (folder / README).write_text("\n\n".join(lines) + "\n", encoding="utf-8")


def describe_graph(pixels: dict[str, Any]) -> str:
    """A README's words for what goes in and out, from the content of preprocessing.json."""
    scores = {"none": "the logits themselves", "sigmoid": "their sigmoids"}.get(pixels["activation"], "their softmax")
    size = f"{pixels['height']}, {pixels['width']}"
    return f"`{INPUT}` (any number of images, 3, {size}) to `{OUTPUT}`, whose scores are {scores}."


def describe_measured(about: dict[str, Any], runtime: str) -> list[str]:
    """Paragraphs for a README about the check and the cost of int8 that export.json has."""
    lines = [describe_checked(about["checked"], runtime)] if "checked" in about else []
    if "cost_of_int8" in about:
        int8 = about["cost_of_int8"]
        accuracy = ", ".join(f"{precision} {text}" for precision, text in describe_accuracy(int8).items())
        lines.append(f"Accuracy on {int8['images']} {int8['split']} images: {accuracy}.")
    return lines


def describe_checked(checked: dict[str, Any], runtime: str = "onnxruntime") -> str:
    """A sentence for a README about the check that export.json has."""
    return (
        f"Parity check passed: {runtime} reproduces the model's predictions on {checked['images']} "
        f"{checked['split'] or 'synthetic'} images (top-1 agreement {checked['top1_agreement']:.4f}, max abs. "
        f"probability difference {checked['max_difference']:.1e})."
    )
