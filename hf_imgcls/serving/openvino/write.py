"""Writing a model as a folder that OpenVINO can run: graph and weights, settings, preprocessing, README."""

import os
import tempfile
from importlib import metadata, util
from pathlib import Path
from typing import Any

from hf_imgcls.errors import InputError
from hf_imgcls.images import input_size
from hf_imgcls.machine import package_versions
from hf_imgcls.serving.export.folder import write_manifest
from hf_imgcls.serving.onnx.pixels import usage
from hf_imgcls.serving.onnx.readme import README, describe_graph, describe_measured
from hf_imgcls.serving.onnx.write import PREPROCESSING, silenced, write_onnx, write_settings
from hf_imgcls.serving.openvino.session import MODEL, import_openvino, read_model, refusals_in_a_line
from hf_imgcls.store import read_json

_PACKAGES = ("nncf", "onnx", "onnxscript", "openvino")
_RUN = (
    "openvino",
    'openvino.compile_model("model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(pixels)["logits"][0]',
)


def check_installed() -> None:
    """Check that the packages which exporting needs are installed, without importing them."""
    for package in _PACKAGES:
        if util.find_spec(package) is None:
            raise InputError(f'export: {package} is not installed; pip install "hf-imgcls[openvino]"')
    import_openvino()


def write_openvino_export(folder: Path, network, processor, about: dict[str, Any]) -> None:
    """Write a network in float32 with its settings and preprocessing; `write_openvino_readme` completes the folder.

    Args:
        about: goes into export.json.
    """
    with tempfile.TemporaryDirectory(dir=folder) as place:
        graph = Path(place) / "model.onnx"
        write_onnx(network, input_size(processor), graph)
        with refusals_in_a_line("export: OpenVINO cannot read the model"):
            save_graph(read_model(graph), folder / MODEL)
    write_settings(folder, network.config, processor)
    versions = package_versions() | {package: metadata.version(package) for package in _PACKAGES}
    write_manifest(folder, {**about, "precision": "float32", "versions": versions})


def save_graph(model: Any, file: Path) -> None:
    """Write a graph, and its weights as they are beside it, in the precision that they have."""
    with silenced():
        import_openvino().save_model(model, os.fspath(file), compress_to_fp16=False)


def write_openvino_readme(folder: Path, about: dict[str, Any]) -> None:
    """Write how to use an exported folder, and what export.json says about its check."""
    pixels = read_json(folder / PREPROCESSING)
    precision = "in float32"
    if calibrated := about.get("calibrated"):
        precision = (
            "with convolutions and dense layers in int8 (NNCF's post-training quantization, calibrated on "
            f"{calibrated['images']} {calibrated['split']} images)"
        )
    lines = [
        f"# {about['model']} for OpenVINO",
        f"`model.xml` and `model.bin`, {precision}; {describe_graph(pixels)}",
        "In this folder, with openvino alone:" if pixels["resize"] else "In this folder:",
        f"```python\n{usage(pixels, _RUN)}\n```",
        "Without `INFERENCE_PRECISION_HINT` a CPU with bfloat16 computes in it, and may predict otherwise. "
        "`hf-imgcls predict` accepts this folder as a model. `preprocessing.json` describes the preprocessing, "
        "`export.json` the check and the package versions.",
        *describe_measured(about, "OpenVINO"),
    ]
    (folder / README).write_text("\n\n".join(lines) + "\n", encoding="utf-8")
