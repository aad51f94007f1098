"""The checkpoints of a run."""

from pathlib import Path


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint; one that was killed while it was written has no trainer_state.json yet."""
    complete = [p.parent for p in folder.glob("checkpoint-*/trainer_state.json")]
    numbered = [p for p in complete if p.name.removeprefix("checkpoint-").isdigit()]
    return max(numbered, key=lambda p: int(p.name.removeprefix("checkpoint-")), default=None)
