"""One row for each image: its columns, and writing it as CSV, as JSON Lines or in a table on a terminal."""

import base64
import contextlib
import csv
import io
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from hf_imgcls.images import MISSING
from hf_imgcls.serving.urls import TEMPORARY
from hf_imgcls.words import as_json, clean, csv_cell

Row = dict[str, Any]
SEPARATOR = "|"  # of several labels that are predicted
FEATURES = "features"
EMBEDDED = ["image", FEATURES, "error", "model"]  # columns of a row of features


def column_names(top_k: int, several: bool = False) -> list[str]:
    """The columns of a row: the image, its best labels with their scores, the error if there is none, the model.

    With `several` labels an image, before the best those that are predicted, as `cat|dog`; empty where none is.
    """
    best = [f"{what}_{place}" for place in range(1, top_k + 1) for what in ("label", "score")]
    return ["image", *(["labels"] if several else []), *best, "error", "model"]


def labels_per_image(columns: list[str]) -> int:
    """The number of labels in a row with these columns."""
    return (len(columns) - 3) // 2


def as_text(features: np.ndarray) -> str:
    """Features, float32 of shape (width,), to the bit, a sixth of the length that numbers would have."""
    return base64.b64encode(features.astype("<f4").tobytes()).decode()


def as_features(text: str) -> np.ndarray:
    """What `as_text` made a text of; a ValueError where it is another one."""
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4")


def tried_again(row: Row) -> bool:
    """Whether a row says nothing of its image, which the same command reads again: no file, a server that failed."""
    error = row["error"] or ""
    return error.startswith(TEMPORARY) or error in MISSING


class RowWriter(contextlib.AbstractContextManager):
    """Appends rows to a text file; an incomplete last line, of a run that was killed, is cut off first."""

    def __init__(self, file: Path, columns: list[str], raw_csv: bool = False):
        self.columns, self.csv, self.raw_csv = columns, file.suffix.lower() == ".csv", raw_csv
        end = 0
        if file.exists():
            with file.open("rb") as lines:
                end = sum(len(line) for line in lines if line.endswith(b"\n"))
            os.truncate(file, end)
        self.header = self.csv and not end
        self.stream = file.open("a", encoding="utf-8", newline="")

    def write(self, rows: list[Row]) -> None:
        if self.csv:
            self.stream.write(format_csv(rows, self.columns, self.header, self.raw_csv))
        else:
            self.stream.writelines(as_json(row) + "\n" for row in rows)
        self.stream.flush()
        self.header = False

    def __exit__(self, *error) -> None:
        self.stream.close()


def format_csv(rows: Iterable[Row], columns: list[str], header: bool, raw: bool = False) -> str:
    """Rows as lines of CSV, each in one line; `raw` leaves cells that a spreadsheet would run as they are."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    if header:
        table.writeheader()
    table.writerows({name: csv_cell(value, raw) for name, value in row.items()} for row in rows)
    return text.getvalue()


class TerminalTable(contextlib.AbstractContextManager):
    """Writes rows to standard output: a table on a terminal, else CSV."""

    def __init__(self, columns: list[str], longest_name: int, longest_label: int, raw_csv: bool = False):
        self.columns, self.top_k, self.raw_csv = columns, labels_per_image(columns), raw_csv
        self.width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        self.name_width = min(longest_name, (self.width or 0) // 2)
        self.label_width, self.header = min(longest_label, 24), True

    def __exit__(self, *error) -> None:
        pass

    def write(self, rows: list[Row]) -> None:
        csv = self.width is None
        text = format_csv(rows, self.columns, self.header, self.raw_csv) if csv else "".join(map(self._line, rows))
        self.header = False
        with tqdm.external_write_mode(file=sys.stdout):
            print(text, end="", flush=True)

    def _line(self, row: Row) -> str:
        """At most the terminal's width: the end of the name, then as many labels as fit, at least one."""
        name = row["image"] if row["image"].isprintable() else ascii(row["image"])
        name = name if len(name) <= self.name_width else "…" + name[len(name) - self.name_width + 1 :]
        line = f"{name:{self.name_width}}"
        if row["error"] is not None:
            return f"{line}  {row['error']}\n"
        if "labels" in row:
            line += f"  {clean(row['labels'] or '-')}"
        for place in range(1, self.top_k + 1):
            score = row[f"score_{place}"]
            shown = "  -  " if score is None else f"{score:.3f}"  # none of these
            entry = f"  {shown} {clean(row[f'label_{place}']):{self.label_width}}"
            if len(line) + len(entry.rstrip()) > self.width:
                if place > 1:
                    break
                entry = f"{entry[: max(10, self.width - len(line) - 1)]}…"
            line += entry
        return f"{line.rstrip()}\n"
