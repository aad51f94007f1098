"""JSON files, written whole or not at all."""

import json
from pathlib import Path
from typing import Any


def read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def write_json(file: Path, content: Any) -> None:
    """Write whole or not at all: a run that is killed leaves the old file. What is not a number becomes null."""
    draft = file.with_name(file.name + ".part")
    content = json.loads(json.dumps(content), parse_constant=lambda name: None)  # NaN and Infinity are no JSON
    draft.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(file)
