"""Checkpoints: written aside and renamed, verified before they are used, and the old deleted behind the new alone.

checkpoint-8.part/checkpoint-8/    while it is written; manifest.json, written last, has the size and the SHA-256
checkpoint-8/                      of every file
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from safetensors import SafetensorError

from hf_imgcls.errors import MachineError, RestoreError, UserError
from hf_imgcls.store.denied import denied, written
from hf_imgcls.store.files import read_json, write_json
from hf_imgcls.store.unverified import find_damage, find_missing

MANIFEST, STATE = "manifest.json", "trainer_state.json"
RAW_WEIGHTS = "raw_weights.safetensors"  # those that are trained on, where the saved model is an average of them
_PART = ".part"
# What only a resumed training reads of a checkpoint: the best one is as good without it.
_FOR_RESUMING = ("optimizer", "scheduler", "scaler", "rng_state", "progress-", "training_args", STATE, RAW_WEIGHTS)


def checkpoint_of(folder: Path, step: int) -> Path:
    return folder / f"checkpoint-{step}"


def draft_of(checkpoint: Path) -> Path:
    """Where a checkpoint is written."""
    return checkpoint.with_name(checkpoint.name + _PART) / checkpoint.name


def write_manifest(folder: Path, files: Iterable[Path]) -> None:
    """Sizes and hashes of files in a folder, beside them."""
    described = {file.relative_to(folder).as_posix(): describe_file(file) for file in sorted(files)}
    write_json(folder / MANIFEST, described)


def put_in_place(draft: Path, checkpoint: Path) -> None:
    """Rename a draft whose files are all written; an older checkpoint of the same step is replaced by it."""
    write_manifest(draft, (path for path in draft.rglob("*") if path.is_file()))
    if checkpoint.exists():
        checkpoint.rename(draft.parent / "replaced")
    draft.rename(checkpoint)
    shutil.rmtree(draft.parent, ignore_errors=True)


@contextlib.contextmanager
def saved_or_denied(checkpoint: Path) -> Iterator[None]:
    """What keeps a checkpoint from being written, a full disk above all, as a MachineError; nothing is left of it."""
    if checkpoint.parent not in written:
        written.append(checkpoint.parent)
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        line = denied(error)  # while what was written still takes the room
        if isinstance(error, UserError) or not line:
            raise
        shutil.rmtree(draft_of(checkpoint).parent, ignore_errors=True)
        raise MachineError(f"{checkpoint} could not be saved, older checkpoints are whole: {line}") from error


def clean_up(folder: Path) -> None:
    """Remove what a killed run was writing; a draft that had been finished takes its place."""
    for part in folder.glob(f"checkpoint-*{_PART}"):
        checkpoint = part.with_suffix("")
        draft = draft_of(checkpoint)
        if (draft / MANIFEST).exists() and not checkpoint.exists() and find_fault(draft) is None:
            draft.rename(checkpoint)
        shutil.rmtree(part, ignore_errors=True)


def delete_old(folder: Path, limit: int | None, newest: int, best: int | None) -> None:
    """Delete checkpoints until `limit` are left, never those of these two steps.

    Those of later steps than the newest, which a resumed run has rejected, go first.
    """
    kept = {newest, best} - {None, 0}
    old = sorted(set(_steps(folder)) - kept, key=lambda step: (step <= newest, step))
    surplus = old[: max(0, len(old) + len(kept) - max(limit, len(kept)))] if limit else []
    if surplus:
        _write_through(checkpoint_of(folder, newest))
    for step in surplus:
        part = checkpoint_of(folder, step).with_suffix(_PART)
        checkpoint_of(folder, step).rename(part)  # half deleted, it is no checkpoint any more
        shutil.rmtree(part, ignore_errors=True)


def newest_whole(folder: Path, with_best: bool = False, needed: Collection[str] = ()) -> tuple[Path | None, list[str]]:
    """The newest checkpoint that is whole, and a line for each newer one that is not.

    Args:
        with_best: whether the checkpoint that it names as the best has to be whole too.
        needed: files, beyond those of every training, that a checkpoint of a version without manifests must have.

    Raises:
        RestoreError: whole checkpoints are there, but not the best one that they name.
    """
    lines, best_fault = [], None
    for step in sorted(_steps(folder), reverse=True):
        checkpoint = checkpoint_of(folder, step)
        fault = find_missing(checkpoint) or find_fault(checkpoint, needed)
        if not fault and with_best and (fault := _fault_of_best(checkpoint)):
            best_fault = best_fault or fault
        if not fault:
            if not (checkpoint / MANIFEST).exists():
                lines.append(f"{checkpoint}: all files are there, but its version kept no hashes to verify them with")
            return checkpoint, lines
        lines.append(f"rejected {checkpoint}: {fault}")
    if best_fault:
        raise RestoreError(f"{folder}: {best_fault}; put it back, or add --start-over")
    return None, lines


def find_fault(folder: Path, needed: Collection[str] = (), weights_alone: bool = False) -> str | None:
    """What is wrong with a folder that has a manifest, or with a checkpoint of a version without; or None."""
    manifest = folder / MANIFEST
    if not manifest.exists():
        if any(folder.glob("progress-*.json")):  # written by a version that writes manifests
            return f"{MANIFEST} is missing"
        return find_damage(folder, needed)
    try:
        described = dict(read_json(manifest))
    except (OSError, ValueError, TypeError):
        return f"{MANIFEST} cannot be read"
    if not described:
        return f"{MANIFEST} names no files"
    names = [name for name in described if not (weights_alone and name.startswith(_FOR_RESUMING))]
    return next(filter(None, (compare_file(folder / name, name, described[name]) for name in names)), None)


def find_fault_of_weights(folder: Path) -> str | None:
    """What is wrong with a checkpoint as far as its model goes; or None."""
    return find_fault(folder, weights_alone=True) if folder.is_dir() else "is missing"


def _fault_of_best(checkpoint: Path) -> str | None:
    step = read_json(checkpoint / STATE).get("best_global_step")
    best = checkpoint_of(checkpoint.parent, step)
    fault = find_fault_of_weights(best) if step and best != checkpoint else None
    return f"the best checkpoint, {best.name}: {fault}" if fault else None


def _steps(folder: Path) -> Iterator[int]:
    for path in folder.glob("checkpoint-*"):
        if (number := path.name.removeprefix("checkpoint-")).isdecimal() and path.is_dir():
            yield int(number)


def describe_file(file: Path) -> list:
    """Its size and SHA-256."""
    with file.open("rb") as stream:
        return [os.fstat(stream.fileno()).st_size, hashlib.file_digest(stream, "sha256").hexdigest()]


def compare_file(file: Path, name: str, described: list) -> str | None:
    """What is wrong with a file that was described as this; or None."""
    try:
        size = file.stat().st_size
        if size != described[0]:
            return f"{name} has {size:,} bytes instead of {described[0]:,}"
        return None if describe_file(file) == described else f"{name} has other content than was written"
    except FileNotFoundError:
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read ({error.strerror})"
    except (TypeError, LookupError, ValueError):
        return f"{MANIFEST} cannot be read"


def _write_through(folder: Path) -> None:
    """Have the files of a folder on the disk itself, before anything that they replace is deleted."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb+") as stream:
                os.fsync(stream.fileno())
