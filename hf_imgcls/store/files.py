"""Files written whole or not at all (a run that is killed leaves the old one), and what saved folders hold."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hf_imgcls.words import as_json, csv_cell


def read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def write_json(file: Path, content: Any) -> None:
    """What is not a number becomes null."""
    content = json.loads(json.dumps(content), parse_constant=lambda name: None)  # NaN and Infinity are no JSON
    write_text(file, as_json(content, indent=2) + "\n")


def write_csv(file: Path, header: Iterable[str], rows: Iterable[Iterable]) -> None:
    """Cells that a spreadsheet would run get an apostrophe."""
    write_text(file, csv_text(header, rows))


def csv_text(header: Iterable[str], rows: Iterable[Iterable]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(map(csv_cell, row) for row in rows)
    return text.getvalue()


def write_text(file: Path, text: str) -> None:
    draft = file.with_name(file.name + ".part")
    draft.write_text(text, encoding="utf-8", newline="")
    draft.replace(file)


def own_code(folder: Path) -> str | None:
    """The class that a saved folder brings its code of, as transformers writes it: "convnet.ConvNet..."; or None."""
    config = folder / "config.json"
    settings = read_json(config) if config.is_file() else {}
    code = settings.get("auto_map", {}).get("AutoModelForImageClassification", "")
    return code if (folder / f"{code.partition('.')[0]}.py").is_file() else None
