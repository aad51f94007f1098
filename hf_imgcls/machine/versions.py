"""What a result was computed with: packages and hardware."""

import platform
from importlib import metadata

import joblib
import torch

from hf_imgcls.words import plural


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter to a result; those that are installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe_hardware(processes: int) -> str:
    """`2 processes, 2 CPU cores (x86_64)`, or the GPUs' names."""
    if torch.cuda.is_available():
        device = f"{torch.cuda.get_device_name()} x {torch.cuda.device_count()}"
    else:
        device = f"{joblib.cpu_count()} CPU cores ({platform.machine()})"
    return f"{plural(processes, 'process')}, {device}"


_PACKAGES = (
    "hf-imgcls", "torch", "torchvision", "transformers", "datasets", "evaluate", "accelerate", "huggingface_hub",
    "timm", "pillow", "simplejpeg", "numpy",
)  # fmt: skip
