"""The machine's hardware, and the defaults of TrainingArguments that fit it."""

import contextlib
import itertools
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any, NamedTuple

import joblib
import torch
from accelerate.utils import str_to_bool
from transformers import TrainingArguments
from transformers.utils import is_torch_tf32_available

from hf_imgcls.words import plural

_PACKAGES = (
    "hf-imgcls", "torch", "torchvision", "transformers", "datasets", "evaluate", "accelerate", "huggingface_hub",
    "timm", "pillow", "simplejpeg", "numpy",
)  # fmt: skip
_MOST_WORKERS = 16  # more read faster than networks train, and each is a process to be started
_PREFETCH = 4  # batches that each worker has ready; they are bytes, so 64 images at 224 take 10 MB


class Machine(NamedTuple):
    """The resources of one process of a run."""

    device: str  # "cuda", "mps", ... or "cpu"
    name: str  # of the GPU; empty where there is none
    cores: int  # for this process: what its container may use, shared with the run's other processes there
    precision: str | None  # the half precision that it computes well in, "bf16" or "fp16"; a CPU some networks alone
    tf32: bool  # whether its float32 may be computed in TF32


def cores_per_process(physical: bool = False) -> int:
    """CPU cores for each process of a run on this machine, at least one; a container's limit is seen too."""
    return max(1, joblib.cpu_count(only_physical_cores=physical) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def detect_machine(on_cpu: bool) -> Machine:
    """The machine as this process finds it; `on_cpu` if the recipe or the launcher asks for the CPU."""
    found = None if on_cpu else torch.accelerator.current_accelerator(check_available=True)
    cores = cores_per_process()
    if found is None:
        return Machine("cpu", "", cores, "bf16" if cpu_trains_in_bf16() else None, False)
    if found.type != "cuda":
        return Machine(found.type, "", cores, None, False)
    precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return Machine("cuda", torch.cuda.get_device_name(), cores, precision, is_torch_tf32_available())


def cpu_trains_in_bf16() -> bool:
    """Whether the CPU computes in bfloat16 faster than in float32 (avx512_bf16, AMX)."""
    found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def fill_in_defaults(
    machine: Machine, given: dict[str, Any], launched: str | None, half_on_cpu: Callable[[], bool]
) -> dict[str, Any]:
    """A recipe's values of TrainingArguments, completed by what fits the machine.

    Args:
        given: the recipe's values, which win, even if they are TrainingArguments' own defaults.
        launched: the precision requested from the launcher, which wins too; None where none was.
        half_on_cpu: whether the network is faster in half precision on a CPU that has it.
    """
    workers = _workers(machine)
    pinned = machine.device not in ("cpu", "mps")  # which has no such memory; torch would warn of it
    chosen: dict[str, Any] = {"dataloader_num_workers": workers, "dataloader_pin_memory": pinned}
    if given.get("dataloader_num_workers", workers):
        chosen |= {"dataloader_prefetch_factor": _PREFETCH, "dataloader_persistent_workers": True}
    if machine.device == "cuda":
        chosen["logging_nan_inf_filter"] = False  # which looks at the loss of every step, and so waits for the GPU
    if machine.tf32:
        chosen["tf32"] = True
    if machine.precision and launched is None and not {"fp16", "bf16"} & given.keys() and not _sharded(given):
        chosen[machine.precision] = machine.device != "cpu" or half_on_cpu()
    values = {**chosen, **given}
    if machine.device == "cpu" and machine.precision and values.get("bf16"):
        values["use_cpu"] = True  # or TrainingArguments refuses it
    config = given.get("accelerator_config") or {}
    if machine.device == "cuda" and values["dataloader_pin_memory"] and isinstance(config, dict):
        values["accelerator_config"] = {"non_blocking": True, **config}
    return values


def _workers(machine: Machine) -> int:
    if machine.device == "cuda":
        return min(machine.cores - 1, _MOST_WORKERS)
    # The training itself keeps the cores busy: on two of them a worker takes from it what it gives, on more of them
    # one fills what single-threaded steps leave idle. Elsewhere than on Linux it starts by importing everything anew.
    return int(machine.device == "cpu" and machine.cores >= 4 and sys.platform == "linux")


def _sharded(given: dict[str, Any]) -> bool:
    """FSDP and DeepSpeed have precisions of their own, which scoring in float32 could not undo."""
    launched = (os.environ.get(f"ACCELERATE_USE_{name}", "false") for name in ("FSDP", "DEEPSPEED"))
    return bool(given.get("fsdp") or given.get("deepspeed")) or any(map(str_to_bool, launched))


def chosen_settings(machine: Machine, stages: Sequence[TrainingArguments], channels_last: bool) -> dict[str, Any]:
    """The settings that a run uses, whether chosen by the recipe, the launcher or here, ready for JSON.

    Those of its first stage; of precisions all of them, in the order of the stages.
    """
    arguments, precisions = stages[0], [each.mixed_precision.replace("no", "float32") for each in stages]
    return {
        "device": machine.device,
        "gpu": machine.name or None,
        "processes": arguments.world_size,
        "cores_per_process": machine.cores,
        "threads": torch.get_num_threads(),
        "workers": arguments.dataloader_num_workers,
        "prefetch": (arguments.dataloader_prefetch_factor or 2) if arguments.dataloader_num_workers else None,
        "persistent_workers": arguments.dataloader_persistent_workers,
        "pinned_memory": arguments.dataloader_pin_memory,
        "non_blocking": arguments.accelerator_config.non_blocking,
        "channels_last": channels_last,
        "precision": " then ".join(precision for precision, _ in itertools.groupby(precisions)),
        "tf32": bool(arguments.tf32),
        "optimizer": str(arguments.optim.value),
        "compile": arguments.torch_compile_backend if arguments.torch_compile else None,
    }


def describe_machine(chosen: dict[str, Any]) -> str:
    """The settings that a run uses, in a line."""
    workers, device = chosen["workers"], chosen["device"].replace("cpu", "CPU")
    parts = [
        f"{plural(chosen['processes'], 'GPU')} ({chosen['gpu']})" if chosen["gpu"] else device,
        f"{plural(chosen['cores_per_process'], 'core')} per process",
        plural(chosen["threads"], "thread"),
        f"{plural(workers, 'worker')} per process" if workers else "no workers",
    ]
    if workers:
        parts += [f"prefetch {chosen['prefetch']}"] + ["persistent"] * chosen["persistent_workers"]
    parts += ["pinned memory"] * chosen["pinned_memory"] + ["non-blocking copies"] * chosen["non_blocking"]
    parts += ["channels_last"] * chosen["channels_last"] + [chosen["precision"]] + ["TF32"] * chosen["tf32"]
    parts.append({"adamw_torch_fused": "fused AdamW"}.get(chosen["optimizer"], chosen["optimizer"]))
    parts += [f"torch.compile ({chosen['compile']})"] if chosen["compile"] else []
    return f"machine: {', '.join(parts)}"


def describe_hardware(processes: int) -> str:
    """`2 processes, 2 CPU cores (x86_64)`, or the GPUs' names."""
    if torch.cuda.is_available():
        device = f"{torch.cuda.get_device_name()} x {torch.cuda.device_count()}"
    else:
        device = f"{joblib.cpu_count()} CPU cores ({platform.machine()})"
    return f"{plural(processes, 'process')}, {device}"


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter to a result; those that are installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


@contextlib.contextmanager
def exact_float32():
    """Full float32 on the device: a GPU's TF32 alone makes larger differences than scores may have.

    By the settings that `training.tf32` is made of: torch refuses to read the older ones once these were used.
    """
    with _same_precision_afterwards() as settings:
        for setting in settings:
            setting.fp32_precision = "ieee"
        yield


@contextlib.contextmanager
def readable_precision():
    """torch's own settings on the CPU, of which the older ones can be read, as torch does in an export."""
    with _same_precision_afterwards():
        torch.backends.cudnn.allow_tf32 = True  # the older one, which sets the newer ones of cuDNN to match
        yield


@contextlib.contextmanager
def _same_precision_afterwards():
    settings = (torch.backends, torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)
    before = [setting.fp32_precision for setting in settings]
    try:
        yield settings
    finally:
        for setting, precision in zip(settings, before, strict=True):
            setting.fp32_precision = "none"
            if setting.fp32_precision != precision:  # what it had was its own, not that of all
                setting.fp32_precision = precision
