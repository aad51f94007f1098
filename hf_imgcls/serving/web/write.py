"""Writing a model as a folder for browsers, and opening it: a page, and a model that transformers.js opens."""

import shutil
from pathlib import Path
from typing import Any

import torch

from hf_imgcls.errors import InputError
from hf_imgcls.images import input_size
from hf_imgcls.models import as_input_error
from hf_imgcls.serving.export.folder import EXPORT, file_digest, write_manifest
from hf_imgcls.serving.export.images import CheckImages
from hf_imgcls.serving.export.measure import measure_agreement
from hf_imgcls.serving.inference import Classifier
from hf_imgcls.serving.onnx.session import CONFIG, MODEL, open_onnx
from hf_imgcls.serving.onnx.write import PREPROCESSING, exporter_versions, silenced, write_onnx, write_settings
from hf_imgcls.serving.web.pixels import PagePixels, describe_page
from hf_imgcls.store import read_json, write_json
from hf_imgcls.words import megabytes, percent

# Newer ones have operators that the runtimes of browsers lack, such as Attention.
_OPSET = 20
# Names that transformers.js looks for.
GRAPH, QUANTIZED = f"onnx/{MODEL}", "onnx/model_quantized.onnx"
_PAGE = Path(__file__).with_name("page")
_AGREEMENT, _SMALLER = 0.99, 0.8  # of the quantized graph: same predictions, at least; size, at most


def write_web(folder: Path, network, processor, about: dict[str, Any]) -> None:
    """Write page, graph in float32, settings and preprocessing; `write_web_readme` completes the folder.

    Args:
        about: goes into export.json.
    """
    page = describe_page(processor)
    (folder / GRAPH).parent.mkdir()
    write_onnx(network, input_size(processor), folder / GRAPH, _OPSET)
    if (folder / f"{GRAPH}.data").exists():
        raise InputError("export: its weights are over 2 GB, more than a browser takes; use --format onnx")
    write_settings(folder, network.config, processor)
    write_json(folder / PREPROCESSING, {"model": about["model"], **read_json(folder / PREPROCESSING), **page})
    # Without it, a browser without WebGPU would take the quantized graph.
    write_json(folder / CONFIG, {**read_json(folder / CONFIG), "transformers.js_config": {"dtype": "fp32"}})
    shutil.copytree(_PAGE, folder, dirs_exist_ok=True)
    write_manifest(folder, {**about, "precision": "float32", "opset": _OPSET, "versions": exporter_versions()})


def open_web(name: str, device: torch.device | str = "cpu") -> Classifier:
    """Open a folder of this format, with the preprocessing of its page."""
    folder = Path(name).expanduser()
    with as_input_error(f"model {name!r}"):
        about = read_json(folder / PREPROCESSING)
        if file_digest(folder / PREPROCESSING) != read_json(folder / EXPORT)["files"][PREPROCESSING]["sha256"]:
            raise InputError(f"model {name!r}: {PREPROCESSING} has been changed; export the model again")
    return open_onnx(name, device, GRAPH)._replace(processor=PagePixels(about))


def add_quantized(folder: Path, exported: Classifier, images: CheckImages) -> str:
    """Write the graph with dense layers in int8 too, if it is smaller and predicts the same; a line about it.

    transformers.js takes it where it is asked for `dtype: "q8"`; the page does not.
    """
    if images.split is None:
        return f"no {QUANTIZED}: whether it predicts the same is measured on real images ({images.reason})"
    about, file = read_json(folder / EXPORT), folder / QUANTIZED
    _quantize(folder / GRAPH, file)
    bytes_of = {name: (folder / name).stat().st_size for name in (GRAPH, QUANTIZED)}
    sizes = f"{megabytes(bytes_of[QUANTIZED])} instead of {megabytes(bytes_of[GRAPH])}"
    if bytes_of[QUANTIZED] > _SMALLER * bytes_of[GRAPH]:
        file.unlink()
        return f"no {QUANTIZED}: with its dense layers in int8 it would have {sizes}; convolutions stay in float32"
    write_manifest(folder, about)  # opening it checks digests
    measured = measure_agreement(exported, open_onnx(str(folder), model=QUANTIZED), images)
    found = f"{sizes}, predicts as float32 does on {percent(measured['agreement'])} of {measured['images']} images"
    passed = measured["agreement"] >= _AGREEMENT
    if not passed:
        file.unlink()
        found += f", fewer than {percent(_AGREEMENT)}"
    write_manifest(folder, {**about, "quantized": {**measured, "bytes": bytes_of, "written": passed}})
    return f"{QUANTIZED}: {found}" if passed else f"no {QUANTIZED}: {found}"


def _quantize(file: Path, target: Path) -> None:
    """Weights of dense layers in int8, with a scale for every 32 of them; other layers stay in float32.

    Dynamic quantization, a scale per channel and image, changed a prediction in 60 of DeiT-tiny's, this none.
    """
    with silenced(), as_input_error(f"export: {QUANTIZED}"):
        import onnx
        from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer

        # Level 4 multiplies in int8, which took 0.6 times the time of float32.
        how = DefaultWeightOnlyQuantConfig(block_size=32, is_symmetric=True, accuracy_level=4, bits=8)
        quantizer = MatMulNBitsQuantizer(onnx.load(file), algo_config=how)
        quantizer.process()
        quantizer.model.save_model_to_file(str(target), False)
