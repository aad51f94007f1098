"""Running an exported folder with OpenVINO on the CPU, in float32 where the CPU would prefer bfloat16."""

import contextlib
import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import shorten
from types import ModuleType
from typing import Any

import torch

from hf_imgcls.errors import InputError
from hf_imgcls.models import as_input_error
from hf_imgcls.serving.inference import Classifier
from hf_imgcls.serving.onnx.session import INPUT, OUTPUT, open_export

MODEL = "model.xml"  # the graph; its weights are in model.bin
FILES = "model."  # how the names of both begin
# A CPU with bfloat16 would compute in it, and probabilities then differ from the model's by up to some hundredths.
PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}
_MOST = 220  # characters of a message
_TELEMETRY = "openvino_telemetry"


def import_openvino() -> ModuleType:
    """The module; InputError where it is not installed."""
    try:
        return import_without_telemetry("openvino")
    except ImportError:
        raise InputError('openvino is not installed; pip install "hf-imgcls[openvino]"') from None


def import_without_telemetry(package: str) -> ModuleType:
    """A package that reports its import: it sends an event, and writes an identifier into the home folder."""
    before = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # as if it was not installed, which OpenVINO and NNCF allow
    try:
        return importlib.import_module(package)
    finally:
        if before is None:
            del sys.modules[_TELEMETRY]
        else:
            sys.modules[_TELEMETRY] = before


@contextlib.contextmanager
def refusals_in_a_line(what: str) -> Iterator[None]:
    """What OpenVINO raises as a user error: `what`, and the end of its message, which begins with its source files."""
    try:
        yield
    except (RuntimeError, *_failures()) as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise InputError(f"{what}: {shorten(lines[-1] if lines else type(error).__name__, _MOST)}") from None


def _failures() -> list[type[Exception]]:
    """OpenVINO's own exceptions, which have no class in common."""
    found = vars(import_openvino().frontend).values()
    return [each for each in found if isinstance(each, type) and issubclass(each, Exception)]


def open_openvino(name: str, device: torch.device | str = "cpu") -> Classifier:
    """Open a folder that was exported for OpenVINO.

    Args:
        device: a string was requested by the user, a torch.device detected; OpenVINO runs on the CPU.
    """
    with as_input_error(f"--device {device}"):
        wanted = torch.device(device)
    if wanted.type != "cpu" and isinstance(device, str):
        raise InputError(f"--device {device}: an OpenVINO export runs on the CPU here; use --device cpu")
    return open_export(name, FILES, lambda folder, about: _logits_function(_compile(name, folder / MODEL)))


def read_model(file: Path) -> Any:
    """A graph, OpenVINO's or of ONNX, with its weights in memory: a file that is mapped cannot be moved on Windows."""
    core = import_openvino().Core()
    core.set_property({"ENABLE_MMAP": False})
    return core.read_model(os.fspath(file))


def _compile(name: str, file: Path) -> Any:
    openvino = import_openvino()
    settings = {
        **PRECISION,
        "PERFORMANCE_HINT": "LATENCY",  # one batch at a time, on all threads
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),  # as many as torch uses for the network
        "ENABLE_CPU_PINNING": False,  # several processes would be pinned to the same cores
    }
    with refusals_in_a_line(f"model {name!r}"):
        return openvino.Core().compile_model(read_model(file), "CPU", settings)


def _logits_function(compiled: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """Maps pixels (n, 3, h, w) to logits (n, classes)."""
    request, alone = compiled.create_infer_request(), threading.Lock()

    def logits(pixels: torch.Tensor) -> torch.Tensor:
        with alone:  # a request that is running refuses another thread's
            outputs = request.infer({INPUT: pixels.float().contiguous().numpy()}, share_inputs=True)
            return torch.from_numpy(outputs[OUTPUT])

    return logits
