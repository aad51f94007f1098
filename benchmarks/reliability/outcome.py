"""What a finished run left, to compare with another run's: all but seconds."""

import hashlib
import json
from pathlib import Path
from typing import Any

_OF_TIME = ("runtime", "per_second", "seconds", "time", "machine", "began", "created")


def outcome(run: Path) -> dict[str, Any]:
    """Hashes of the weights, the scores, the history, the selected checkpoints and the names of the files."""
    results = json.loads((run / "results.json").read_text())
    return {
        "weights": {file.name: _digest(file) for file in sorted(run.glob("*.safetensors"))},
        "scores": _untimed(results["scores"]),
        "history": _untimed(json.loads((run / "history.json").read_text())),
        "stages": _untimed(results["stages"]),
        "files": sorted(str(file.relative_to(run)) for file in run.rglob("*") if file.is_file()),
    }


def differences(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """The parts in which two outcomes differ; of the files their names."""
    found = [part for part in first if part != "files" and first[part] != second[part]]
    odd = sorted(set(first["files"]) ^ set(second["files"]))
    return found + ([f"files {' '.join(odd[:5])}"] if odd else [])


def _untimed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _untimed(v) for key, v in value.items() if not any(word in key for word in _OF_TIME)}
    return [_untimed(v) for v in value] if isinstance(value, list) else value


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
