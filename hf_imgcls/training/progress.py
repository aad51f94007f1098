"""How far a training is, beyond Trainer's own state: named parts of each process, saved with every checkpoint."""

from pathlib import Path
from typing import Any, Protocol

from hf_imgcls.errors import RestoreError
from hf_imgcls.store import read_json, write_json


class Part(Protocol):
    """Something that a resumed training goes on with."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, ready for JSON."""

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from what `state` returned."""


class Progress:
    """The parts of one process. They are restored when a training begins, behind every callback."""

    def __init__(self):
        self._parts: dict[str, Part] = {}
        self._demanded: list[str] = []

    def add(self, name: str, part: Part, changes_weights: bool = False) -> None:
        """Save and restore a part.

        Args:
            changes_weights: whether a training that resumes without it ends with other weights. Such a part is demanded
                of every checkpoint; others begin anew where a checkpoint of an older version, or of another number of
                processes, does not have them.
        """
        self._parts[name] = part
        if changes_weights:
            self._demanded.append(name)

    def save(self, folder: Path, rank: int) -> None:
        write_json(progress_file(folder, rank), {name: part.state() for name, part in self._parts.items()})

    def restore(self, folder: Path, rank: int, processes: int) -> None:
        """Restore every part (RestoreError: the checkpoint lacks one)."""
        for name, content in self.read(folder, rank, processes).items():
            if name in self._parts:
                self._parts[name].restore(content)

    def read(self, folder: Path, rank: int, processes: int) -> dict[str, dict]:
        """What a checkpoint keeps, by part (RestoreError: it lacks one)."""
        known = len(list(folder.glob("progress-*.json"))) == processes
        saved = read_json(progress_file(folder, rank)) if known else {}
        for name in self._parts if known else self._demanded:
            if name not in saved:
                raise RestoreError(
                    f"{folder}: the checkpoint lacks the {name} of process {rank}, without which the training would "
                    "end with another result; add --start-over"
                )
        return saved


def progress_file(folder: Path, rank: int) -> Path:
    return folder / f"progress-{rank}.json"
