"""Put saved weights back into a model, exactly, and verify every tensor.

`Trainer` reloads a checkpoint with `load_state_dict(strict=False)`. For architectures whose saved names differ from
their parameters' (ViT, DeiT, Swin, BEiT, DINOv2, ...) that leaves most tensors as they were, with a mere warning.
"""

import hashlib
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import SAFE_WEIGHTS_NAME

from hf_imgcls.errors import RestoreError
from hf_imgcls.store import raise_denied


def restore_weights(model: nn.Module, folder: str | Path) -> None:
    """Load a checkpoint's weights into a model in place, strictly, and compare every tensor with the file.

    In the file of a model that is not of transformers, tensors have their own names.
    """
    try:
        model.load_state_dict(_read(model, Path(folder)), strict=True)
        forget_cached(model)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise_denied(error)
        raise RestoreError(f"{folder}: cannot be restored: {' '.join(str(error).split())[:300]}") from None
    check_restored(model, folder)


def forget_cached(model: nn.Module) -> None:
    """After weights were changed in place: LeViT keeps what it computed of its old ones until it trains again."""
    mode = model.training
    model.train()
    model.train(mode)


def _read(model: nn.Module, folder: Path) -> dict[str, torch.Tensor]:
    if not isinstance(model, PreTrainedModel):
        return load_file(folder / SAFE_WEIGHTS_NAME)
    # Tensors of another shape are named by the comparison.
    options = {"dtype": model.dtype, "use_safetensors": True, "ignore_mismatched_sizes": True}
    return type(model).from_pretrained(folder, **options).state_dict()


def check_restored(model: nn.Module, folder: str | Path, state: dict | None = None) -> None:
    """Compare every tensor of a model with a saved folder.

    Args:
        state: the model's tensors, where they have to be gathered from several processes first.
    """
    together = dist.is_available() and dist.is_initialized()
    if not together or dist.get_rank() == 0:  # save_pretrained, which the comparison needs, writes there alone
        different = differing_tensors(model, folder, state)
        if different:
            raise RestoreError(
                f"{folder}: {len(different)} tensors were not restored as they are in the file ({different[0]}, ...)"
            )
    if together and state is None:
        digests = [None] * dist.get_world_size()
        dist.all_gather_object(digests, weights_digest(model))
        if len(set(digests)) > 1:
            raise RestoreError(f"{folder}: the processes did not restore the same tensors")


def weights_digest(model: nn.Module) -> str:
    """Of all tensors, as hexadecimal."""
    hashed = hashlib.blake2b()
    for tensor in model.state_dict().values():
        hashed.update(as_bytes(tensor))
    return hashed.hexdigest()


def differing_tensors(model: nn.Module, folder: str | Path, state: dict | None = None) -> list[str]:
    """Names (as in the file) of the tensors in which a model and a saved folder differ, in value or by absence.

    The model is saved to a temporary folder for this: only what saves can say what a tensor is called in a file.
    """
    with tempfile.TemporaryDirectory() as temporary:
        if isinstance(model, PreTrainedModel):
            model.save_pretrained(temporary, state_dict=state)
        else:
            save_file(state or model.state_dict(), Path(temporary) / SAFE_WEIGHTS_NAME)
        here, there = _tensors(Path(temporary)), _tensors(Path(folder))
        names = sorted(here.keys() | there.keys())
        return [n for n in names if n not in here or n not in there or not _same(here[n], there[n], n)]


def _tensors(folder: Path) -> dict[str, Path]:
    found = {}
    for file in sorted(folder.glob("model*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            found.update(dict.fromkeys(tensors.keys(), file))
    return found


def _same(here: Path, there: Path, name: str) -> bool:
    with safe_open(here, framework="pt") as a, safe_open(there, framework="pt") as b:
        mine, saved = a.get_tensor(name), b.get_tensor(name)
        # As bytes: NaN equals nothing, not even itself.
        return (
            mine.dtype == saved.dtype and mine.shape == saved.shape and np.array_equal(as_bytes(mine), as_bytes(saved))
        )


def as_bytes(tensor: torch.Tensor) -> np.ndarray:
    """A tensor of any type as uint8, shape (bytes,)."""
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
