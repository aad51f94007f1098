"""Files written whole or not at all: a run that is killed leaves the old one."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def write_json(file: Path, content: Any) -> None:
    """What is not a number becomes null."""
    content = json.loads(json.dumps(content), parse_constant=lambda name: None)  # NaN and Infinity are no JSON
    write_text(file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_csv(file: Path, header: Iterable[str], rows: Iterable[Iterable]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    write_text(file, text.getvalue())


def write_text(file: Path, text: str) -> None:
    draft = file.with_name(file.name + ".part")
    draft.write_text(text, encoding="utf-8", newline="")
    draft.replace(file)
