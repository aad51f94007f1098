"""An exported folder, opened to answer: the same images, labels and scores, by onnxruntime."""

import hashlib
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
from hf_imgcls.models import as_input_error, get_processor
from hf_imgcls.recipe import ModelSection
from hf_imgcls.serving.classifier import Classifier, model_digest, score_function

# What makes a folder an export is its EXPORT, which has the digests of the others.
MODEL, CONFIG, EXPORT = "model.onnx", "config.json", "export.json"
INPUT, OUTPUT = "pixel_values", "logits"


def is_exported(name: str) -> bool:
    """Whether a model's name is that of a folder that `hf-imgcls export` has written."""
    return (Path(name).expanduser() / EXPORT).is_file()


def import_onnxruntime() -> ModuleType:
    """
    Raises:
        InputError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise InputError('onnxruntime is not installed; pip install "hf-imgcls[onnx]"') from None
    return onnxruntime


def open_exported(name: str, device: torch.device | str = "cpu") -> Classifier:
    """Open an exported folder.

    Args:
        device: a string is what somebody asked for, a torch.device what this machine has: where onnxruntime has no
            provider for that, the CPU answers.

    Raises:
        InputError: onnxruntime is missing or has no such device, or a file is missing or damaged.
    """
    folder = Path(name).expanduser()
    with as_input_error(f"model {name!r}"):
        about = json.loads((folder / EXPORT).read_text(encoding="utf-8"))
        digests = _check_weights(name, folder, about["files"])
        config = PreTrainedConfig.from_dict(json.loads((folder / CONFIG).read_text(encoding="utf-8")))
        labels = [config.id2label[i] for i in range(config.num_labels)]
    processor = get_processor(ModelSection(checkpoint=str(folder)), config)
    session = _open_session(folder / MODEL, device)
    logits = _answer(session, one_by_one=about["precision"] == "int8")
    with as_input_error(f"model {name!r}", *_refusals(import_onnxruntime())):
        pixels = process_image(processor, PIL.Image.new("RGB", (320, 240), "grey"))
        if logits(pixels[None]).shape != (1, len(labels)):
            raise InputError(f"model {name!r}: {MODEL} has not as many outputs as {CONFIG} has labels")
    shown = f"{folder.resolve().name}@{model_digest(config.id2label, pixels, digests)}"
    return Classifier(shown, labels, processor, logits, score_function(config))


def digest(file: Path) -> str:
    """SHA-256 of a file's content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _check_weights(name: str, folder: Path, files: dict[str, dict[str, Any]]) -> list[bytes]:
    """Digests of the model's files, which are those of the day they were exported.

    onnxruntime notices a file that was cut off; of a few bytes that changed it only makes other answers.
    """
    digests = []
    for file in sorted(file for file in files if file.startswith(MODEL)):
        if not (folder / file).is_file():
            raise InputError(f"model {name!r}: {file} is missing in this export; export the model again")
        if digest(folder / file) != files[file]["sha256"]:
            raise InputError(f"model {name!r}: {file} is damaged (it is not what was exported); export the model again")
        digests.append(files[file]["sha256"].encode())
    return digests


def _open_session(file: Path, device: torch.device | str):
    onnxruntime = import_onnxruntime()
    provider = _provider(onnxruntime, device)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # as many as the network itself would take
    # Threads that wait busily take the cores from those that read images.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what matters is raised
    with as_input_error(f"model {str(file.parent)!r}", *_refusals(onnxruntime)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says at length what is said below
        session = onnxruntime.InferenceSession(os.fspath(file), options, providers=[provider])
    if session.get_providers()[0] != provider[0]:  # it goes on with the CPU where CUDA's libraries do not fit
        raise InputError(f"--device {device}: onnxruntime {onnxruntime.__version__} cannot use it here; --device cpu")
    return session


def _refusals(onnxruntime: ModuleType) -> list[type[Exception]]:
    """onnxruntime's own exceptions, which have no class in common."""
    found = vars(onnxruntime.capi.onnxruntime_pybind11_state).values()
    return [each for each in found if isinstance(each, type) and issubclass(each, Exception)]


def _provider(onnxruntime: ModuleType, device: torch.device | str) -> tuple[str, dict[str, Any]]:
    """onnxruntime's name of a device, and its settings."""
    with as_input_error(f"--device {device}"):
        wanted = torch.device(device)
    there = onnxruntime.get_available_providers()
    if wanted.type == "cuda" and "CUDAExecutionProvider" in there:
        return "CUDAExecutionProvider", {"device_id": wanted.index or 0, "use_tf32": 0}  # scores are float32
    if wanted.type != "cpu" and isinstance(device, str):
        has = ", ".join(each.removesuffix("ExecutionProvider") for each in there)
        raise InputError(
            f"--device {device}: this onnxruntime does not have it (it has {has}); take --device cpu, or for cuda "
            "pip install onnxruntime-gpu"
        )
    return "CPUExecutionProvider", {}


def _answer(session, one_by_one: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    """What takes pixels (n, 3, h, w) to outputs (n, classes).

    Args:
        one_by_one: dynamic quantisation draws its scale from all images of a batch: each by itself, and an answer
            does not depend on its neighbours. It is no slower.
    """

    def logits(pixels: torch.Tensor) -> torch.Tensor:
        parts = pixels.float().contiguous().split(1 if one_by_one else len(pixels))
        return torch.cat([torch.from_numpy(session.run([OUTPUT], {INPUT: part.numpy()})[0]) for part in parts])

    return logits
