"""Predictions on standard output, for people and for pipes."""

import os
import shutil
import sys

from tqdm.auto import tqdm

from hf_imgcls.serving.output import Row, as_csv


class TerminalTable:
    """Rows on standard output: a table on a terminal, else CSV."""

    def __init__(self, names: list[str], longest: int, label: int):
        self.names, self.top_k = names, (len(names) - 3) // 2
        self.width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        self.name = min(longest, (self.width or 0) // 2)
        self.label, self.begun = min(label, 24), False

    def __enter__(self):
        return self

    def __exit__(self, *error) -> None:
        pass

    def write(self, rows: list[Row]) -> None:
        text = as_csv(rows, self.names, not self.begun) if self.width is None else "".join(map(self._line, rows))
        self.begun = True
        try:
            with tqdm.external_write_mode(file=sys.stdout):
                print(text, end="", flush=True)
        except BrokenPipeError:  # `| head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0) from None

    def _line(self, row: Row) -> str:
        """A line of the terminal's width: the end of the name, as many labels as fit, the first of them always."""
        name = row["image"] if row["image"].isprintable() else ascii(row["image"])
        name = name if len(name) <= self.name else "…" + name[len(name) - self.name + 1 :]
        line = f"{name:{self.name}}"
        if row["error"] is not None:
            return f"{line}  {row['error']}\n"
        for place in range(1, self.top_k + 1):
            entry = f"  {row[f'score_{place}']:.3f} {row[f'label_{place}']:{self.label}}"
            if place > 1 and len(line) + len(entry) > self.width:
                break
            line += entry
        return f"{line.rstrip()}\n"
