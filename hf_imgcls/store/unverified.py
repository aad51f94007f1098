"""What a checkpoint's files tell by themselves: which parts are there, and damage where no hashes were kept."""

import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

from safetensors import SafetensorError, safe_open

from hf_imgcls.store.files import read_json

# One of each is needed; DeepSpeed keeps all but the state of Trainer in a folder for each step.
_NEEDED = {
    "the weights": ("model*.safetensors", "pytorch_model*", "global_step*"),
    "optimizer.pt": ("optimizer.pt", "optimizer.bin", "optimizer_*", "global_step*"),
    "scheduler.pt": ("scheduler.pt", "global_step*"),
    "rng_state.pth": ("rng_state*.pth",),
    "trainer_state.json": ("trainer_state.json",),
}


def find_missing(folder: Path) -> str | None:
    """Which part of a checkpoint that a resumed training needs is not there, or None."""
    for name, patterns in _NEEDED.items():
        if not any(any(folder.glob(pattern)) for pattern in patterns):
            return f"{name} {'are' if name.endswith('s') else 'is'} missing"
    return None


def find_damage(folder: Path, needed: Collection[str] = ()) -> str | None:
    """Which file of a checkpoint is missing or damaged as far as can be told without hashes, or None."""
    if missing := next((name for name in needed if not (folder / name).exists()), None):
        return f"{missing} is missing"
    for file in sorted(folder.iterdir()):
        if file.is_file() and (fault := _damage(file)):
            return f"{file.name} {fault}"
    return None


def _damage(file: Path) -> str | None:
    try:
        if file.suffix == ".safetensors":
            with safe_open(file, "np"):  # compares the file's length with its header
                return None
        if file.suffix == ".json":
            read_json(file)
        if file.suffix in (".pt", ".pth"):
            with zipfile.ZipFile(file) as parts:  # as torch saves, with a checksum of each part
                if parts.testzip():
                    return "is damaged"
    except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error, SafetensorError):
        return "is damaged"
    return None
