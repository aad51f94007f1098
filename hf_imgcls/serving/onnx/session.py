"""Running an exported folder with onnxruntime: the same preprocessing, labels and scores as the model's."""

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import PIL.Image
import torch
from transformers import PreTrainedConfig

from hf_imgcls.errors import InputError
from hf_imgcls.images import process_image
from hf_imgcls.models import applied_thresholds, as_input_error, check_thresholds, get_processor
from hf_imgcls.recipe import ModelSection
from hf_imgcls.serving.export.folder import EXPORT, INT8, file_digest
from hf_imgcls.serving.inference import Classifier, exported_rejection, model_digest, score_function

MODEL, CONFIG = "model.onnx", "config.json"
INPUT, OUTPUT = "pixel_values", "logits"


def import_onnxruntime() -> ModuleType:
    """The module; InputError where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        raise InputError('onnxruntime is not installed; pip install "hf-imgcls[onnx]"') from None
    return onnxruntime


def open_onnx(
    name: str, device: torch.device | str = "cpu", model: str = MODEL, check: Callable[[Any], None] | None = None
) -> Classifier:
    """Open a folder that was exported as ONNX.

    Args:
        model: the graph's path in it.
        check: is called with onnxruntime's session; what else the folder says of the graph may be wrong.
        device: a string was requested by the user, a torch.device detected: onnxruntime then runs on the CPU where it
            has no provider for it.
    """

    def start(folder: Path, about: dict[str, Any]) -> Callable[[torch.Tensor], torch.Tensor]:
        session = _open_session(folder / model, device)
        if check:
            with as_input_error(f"model {name!r}"):
                check(session)
        return _logits_function(session, one_by_one=about["precision"] == INT8)

    opened = open_export(name, model, start, lambda: _refusals(import_onnxruntime()))
    return opened._replace(by_processes=torch.device(device).type != "cpu")


def open_export(
    name: str,
    model: str,
    start: Callable[[Path, dict[str, Any]], Callable[[torch.Tensor], torch.Tensor]],
    refusals: Callable[[], list[type[Exception]]] = list,
) -> Classifier:
    """Open an export's folder, whose weights are verified first.

    Args:
        model: how the paths of its model's files begin.
        start: of the folder and the content of its export.json, what maps pixels (n, 3, h, w) to logits (n, classes).
        refusals: exceptions that running it raises for an input which does not fit.
    """
    folder = Path(name).expanduser()
    with as_input_error(f"model {name!r}"):
        about = json.loads((folder / EXPORT).read_text(encoding="utf-8"))
        digests = _check_weights(name, folder, about["files"], model)
        config = PreTrainedConfig.from_dict(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
        labels = [config.id2label[i] for i in range(config.num_labels)]
        check_thresholds(config)
    processor = get_processor(ModelSection(checkpoint=str(folder)), config)
    logits = start(folder, about)
    with as_input_error(f"model {name!r}", *refusals()):
        pixels = process_image(processor, PIL.Image.new("RGB", (320, 240), "grey"))
        if logits(pixels[None]).shape != (1, len(labels)):
            raise InputError(f"model {name!r}: its weights and {CONFIG} differ in the number of labels")
    shown = f"{folder.resolve().name}@{model_digest(config, pixels, digests)}"
    rejection, thresholds = exported_rejection(config), applied_thresholds(config)
    return Classifier(shown, labels, processor, logits, score_function(config), rejection, thresholds)


def _check_weights(name: str, folder: Path, files: dict[str, dict[str, Any]], model: str) -> list[bytes]:
    """Digests of the model's files, verified: with a few changed bytes it would run and predict otherwise."""
    digests = []
    for file in sorted(file for file in files if file.startswith(model)):
        if not (folder / file).is_file():
            raise InputError(f"model {name!r}: {file} is missing in this export; export the model again")
        if file_digest(folder / file) != files[file]["sha256"]:
            raise InputError(f"model {name!r}: {file} is damaged (its digest differs); export the model again")
        digests.append(files[file]["sha256"].encode())
    return digests


def _open_session(file: Path, device: torch.device | str):
    onnxruntime = import_onnxruntime()
    provider = _provider(onnxruntime, device)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # as many as torch uses for the network
    # Spinning threads take the cores of those that read images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # errors are raised as exceptions
    # The warning of a fallback to the CPU is ignored, since that is an error below.
    refusals = as_input_error(f"model {str(file.parent)!r}", *_refusals(onnxruntime))
    with refusals, warnings.catch_warnings(action="ignore"):
        session = onnxruntime.InferenceSession(os.fspath(file), options, providers=[provider])
    if session.get_providers()[0] != provider[0]:  # falls back to the CPU where CUDA's libraries do not fit
        raise InputError(f"--device {device}: onnxruntime {onnxruntime.__version__} cannot use it here; --device cpu")
    return session


def _refusals(onnxruntime: ModuleType) -> list[type[Exception]]:
    """onnxruntime's own exceptions, which have no class in common."""
    found = vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
    return [each for each in found if isinstance(each, type) and issubclass(each, Exception)]


def _provider(onnxruntime: ModuleType, device: torch.device | str) -> tuple[str, dict[str, Any]]:
    """onnxruntime's execution provider for a device, and its options."""
    with as_input_error(f"--device {device}"):
        wanted = torch.device(device)
    there = onnxruntime.get_available_providers()
    if wanted.type == "cuda" and "CUDAExecutionProvider" in there:
        # Without an index, `cuda` is the current device, of which each of several processes has its own.
        current = torch.cuda.current_device() if torch.cuda.is_available() else 0
        index = current if wanted.index is None else wanted.index
        return "CUDAExecutionProvider", {"device_id": index, "use_tf32": 0}  # scores are float32
    if wanted.type != "cpu" and isinstance(device, str):
        has = ", ".join(each.removesuffix("ExecutionProvider") for each in there)
        raise InputError(
            f"--device {device}: this onnxruntime does not support it (it has {has}); use --device cpu, or for cuda "
            "pip install onnxruntime-gpu"
        )
    return "CPUExecutionProvider", {}


def _logits_function(session, one_by_one: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    """Maps pixels (n, 3, h, w) to logits (n, classes)."""

    # Dynamic quantization scales activations by their range over the batch: run one by one, an image's prediction
    # does not depend on the others. It is no slower.
    def logits(pixels: torch.Tensor) -> torch.Tensor:
        parts = pixels.float().contiguous().split(1 if one_by_one else len(pixels))
        return torch.cat([torch.from_numpy(session.run([OUTPUT], {INPUT: part.numpy()})[0]) for part in parts])

    return logits
