"""What an interrupted run goes on from: the stages that are done, and the newest whole checkpoint of the next one."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from transformers import TrainingArguments

from hf_imgcls.store import MANIFEST, clean_up, find_fault, newest_whole, read_json, write_json, write_manifest


def choose_checkpoint(folder: Path, arguments: TrainingArguments) -> tuple[str | None, list[str]]:
    """The checkpoint to go on from, None for the beginning; and lines that say what was found.

    Raises:
        RestoreError: the best checkpoint, which the run would end with, is damaged or gone.
    """
    clean_up(folder)
    # Without a manifest nothing else tells that fp16 training lost the scale of its gradients.
    needed = ["scaler.pt"] if arguments.fp16 else []
    found, lines = newest_whole(folder, arguments.load_best_model_at_end, needed)
    if found:
        return str(found), [*lines, f"resuming from {found}"]
    return None, [*lines, f"no checkpoint in {folder} is whole: training begins at the beginning"] if lines else []


def keep_stage(file: Path, records: list[dict], folder: Path) -> None:
    """Note that a stage is done, after a manifest of its saved model has been written."""
    write_manifest(folder, (path for path in folder.iterdir() if path.is_file() and path.name != MANIFEST))
    write_json(file, {"stages": records, "sha256": _digest(records)})


def read_stages(file: Path, folders: Sequence[Path]) -> tuple[list[dict], list[str]]:
    """The records of the stages that are done, whose models are in these folders; and lines about what is not whole.

    A stage whose model or record is damaged is done again from its last checkpoint.
    """
    if not file.exists():
        return [], []
    records = _read_records(file)
    if records is None or len(records) > len(folders):
        return [], [f"rejected {file}: it is damaged; its stages go on from their last checkpoints"]
    lines = []
    while records and (fault := _fault_of_stage(folders[len(records) - 1])):
        lines.append(f"rejected {folders[len(records) - 1]}: {fault}; the stage goes on from its last checkpoint")
        records.pop()
    return records, lines


def _read_records(file: Path) -> list[dict] | None:
    """The records as they were written, None where they are not; those of versions before 0.2 have no digest."""
    try:
        content = read_json(file)
    except (OSError, ValueError):
        return None
    if isinstance(content, dict) and content.get("sha256") == _digest(content.get("stages")):
        return content["stages"]
    return content if isinstance(content, list) else None


def _digest(records: list[dict] | None) -> str:
    """Of the records as a file has them, in which what is not a number is null."""
    text = json.dumps(json.loads(json.dumps(records), parse_constant=lambda name: None), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _fault_of_stage(folder: Path) -> str | None:
    return find_fault(folder) if (folder / MANIFEST).exists() else f"{MANIFEST} is missing"
