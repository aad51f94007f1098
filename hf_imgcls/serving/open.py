"""Opening any model for prediction, and the table of export formats."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import PIL.Image
import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

from hf_imgcls.errors import InputError
from hf_imgcls.images import Limits, process_image
from hf_imgcls.models import (
    applied_thresholds,
    as_bytes,
    as_input_error,
    channels_last,
    feature_layers,
    fold_batch_norms,
    load_network,
)
from hf_imgcls.serving.distance import open_rejection
from hf_imgcls.serving.embedder import Embedder
from hf_imgcls.serving.export.calibration import CalibrationImages
from hf_imgcls.serving.export.folder import EXPORT, is_exported
from hf_imgcls.serving.export.images import CheckImages
from hf_imgcls.serving.inference import Classifier, model_digest, score_function
from hf_imgcls.serving.onnx.readme import write_onnx_readme
from hf_imgcls.serving.onnx.session import open_onnx
from hf_imgcls.serving.onnx.write import import_exporter, write_int8, write_onnx_export
from hf_imgcls.serving.openvino.quantize import write_openvino_int8
from hf_imgcls.serving.openvino.session import FILES, open_openvino
from hf_imgcls.serving.openvino.write import check_installed, write_openvino_export, write_openvino_readme
from hf_imgcls.serving.triton.write import VERSION, open_triton, write_triton, write_triton_readme
from hf_imgcls.serving.web.readme import write_web_readme
from hf_imgcls.serving.web.write import GRAPH, add_quantized, open_web, write_web
from hf_imgcls.store import read_json


class ExportFormat(NamedTuple):
    """How a format is written and opened; `check_export` compares any opened export with its model."""

    require: Callable[[], None]  # raises InputError where a package is missing
    write: Callable[[Path, Any, Any, dict], None]  # (folder, network, processor, for export.json), in float32
    # (folder, images to calibrate on) writes the folder int8 in that of an export; None: the format has no int8
    quantize: Callable[[Path, CalibrationImages], None] | None
    write_readme: Callable[[Path, dict], None]  # (folder, content of export.json)
    open: Callable[[str, torch.device | str], Classifier]  # (name of the folder, device)
    files: str  # a pattern of the files with the model
    calibrates: bool = False  # whether its int8 is calibrated on images
    own_pixels: bool = False  # it does not have the model's image processor, but a preprocessing of its own
    # (folder, opened export, images), after the check: writes a smaller graph too, and returns a line about it
    smaller: Callable[[Path, Classifier, CheckImages], str] | None = None


FORMATS = {
    "onnx": ExportFormat(import_exporter, write_onnx_export, write_int8, write_onnx_readme, open_onnx, "model.onnx*"),
    "openvino": ExportFormat(
        check_installed,
        write_openvino_export,
        write_openvino_int8,
        write_openvino_readme,
        open_openvino,
        f"{FILES}*",
        calibrates=True,
    ),
    "triton": ExportFormat(
        import_exporter, write_triton, None, write_triton_readme, open_triton, f"*/{VERSION}/model.onnx*"
    ),
    "web": ExportFormat(
        import_exporter, write_web, None, write_web_readme, open_web, GRAPH, own_pixels=True, smaller=add_quantized
    ),
}


class PredictOptions(NamedTuple):
    """How to predict."""

    top_k: int = 5  # labels per image
    batch_size: int | None = None  # None: a default for the device
    device: str | None = None  # None: an accelerator, or else the CPU
    trust_remote_code: bool = False  # whether code that comes with the model may be run
    half: bool = False  # compute in float16
    limits: Limits = Limits()  # images beyond them are not read
    raw_csv: bool = False  # cells of a CSV that a spreadsheet would run as a formula stay as they are
    tta: str | Sequence[str] = ()  # test-time augmentation: flip, crops or both


def chosen_device(asked: str | None) -> torch.device | str:
    """The device that was asked for, or an accelerator; the CPU where there is none or ACCELERATE_USE_CPU is set."""
    return asked or PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU")).device


def open_classifier(
    name: str, device: torch.device | str = "cpu", trust_remote_code: bool = False, half: bool = False
) -> Classifier:
    """Open a folder or Hub model: of this package, transformers or timm, an export, or one with code of its own.

    Args:
        half: compute in float16; scores differ by about 1e-3, and the name ends in `-half`.
    """
    if is_exported(name):
        if half:
            raise InputError(f"--half: {name} is an export, whose precision is fixed; leave it out")
        return _open_exported(name, device)
    shown, network, processor, pixels = _open_network(name, device, trust_remote_code, half)
    classifier = as_classifier(shown, network, processor, device, open_rejection(name, network))
    with as_input_error(f"model {name!r}"):
        classifier.logits(pixels[None])
    return classifier


def open_embedder(
    name: str, device: torch.device | str = "cpu", trust_remote_code: bool = False, half: bool = False
) -> Embedder:
    """Open what `open_classifier` opens for its features; an export is refused, since it gives out logits alone."""
    if is_exported(name):
        raise InputError(f"model {name!r}: an export gives out logits alone; name the run that it was exported from")
    shown, network, processor, pixels = _open_network(name, device, trust_remote_code, half)
    with as_input_error(f"model {name!r}"):
        layers = feature_layers(network, tuple(pixels.shape[-2:]))
    return Embedder(as_classifier(shown, network, processor, device), network, layers)


def _open_network(name: str, device: torch.device | str, trust_remote_code: bool, half: bool) -> tuple:
    """A network on its device: (name with its digest, network, image processor, pixels of a grey image)."""
    network, processor = load_network(name, dtype="auto", trust_remote_code=trust_remote_code)
    grey = PIL.Image.new("RGB", (320, 240), "grey")
    with as_input_error(f"model {name!r}"):
        pixels = process_image(processor, grey)
        digest = model_digest(network.config, pixels, map(as_bytes, network.state_dict().values()))
        channels_last(network, pixels.shape[-2:])
        fold_batch_norms(network, pixels.shape[-2:])
    with as_input_error(f"--device {device}"):
        network.to(device, torch.float16 if half else network.dtype)
    shown = Path(name).expanduser().resolve().name if Path(name).expanduser().is_dir() else name
    return f"{shown}@{digest}{'-half' if half else ''}", network, processor, pixels


def as_classifier(name: str, network, processor, device: torch.device | str = "cpu", rejection=None) -> Classifier:
    """A network that is on this device, as a classifier."""

    def logits(pixels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network(pixel_values=pixels.to(device, network.dtype)).logits.float().cpu()

    config = network.config
    labels = [config.id2label[i] for i in range(config.num_labels)]
    by_processes = torch.device(device).type != "cpu"
    return Classifier(
        name, labels, processor, logits, score_function(config), rejection, applied_thresholds(config), by_processes
    )


def _open_exported(name: str, device: torch.device | str) -> Classifier:
    try:
        about = read_json(Path(name).expanduser() / EXPORT)
        opened = FORMATS[about.get("format", "onnx")].open  # earlier versions wrote no format, it was onnx
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"model {name!r}: {EXPORT} is damaged or of a later version; export the model again") from None
    return opened(name, device)
