"""Predictions on standard output: a table for people, CSV for pipes."""

import contextlib
import os
import shutil
import sys

from tqdm.auto import tqdm

from hf_imgcls.serving.rows import Row, format_csv, labels_per_image


class TerminalTable(contextlib.AbstractContextManager):
    """Writes rows to standard output: a table on a terminal, else CSV."""

    def __init__(self, columns: list[str], longest_name: int, longest_label: int):
        self.columns, self.top_k = columns, labels_per_image(columns)
        self.width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        self.name_width = min(longest_name, (self.width or 0) // 2)
        self.label_width, self.header = min(longest_label, 24), True

    def __exit__(self, *error) -> None:
        pass

    def write(self, rows: list[Row]) -> None:
        text = format_csv(rows, self.columns, self.header) if self.width is None else "".join(map(self._line, rows))
        self.header = False
        try:
            with tqdm.external_write_mode(file=sys.stdout):
                print(text, end="", flush=True)
        except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0) from None

    def _line(self, row: Row) -> str:
        """At most the terminal's width: the end of the name, then as many labels as fit, at least one."""
        name = row["image"] if row["image"].isprintable() else ascii(row["image"])
        name = name if len(name) <= self.name_width else "…" + name[len(name) - self.name_width + 1 :]
        line = f"{name:{self.name_width}}"
        if row["error"] is not None:
            return f"{line}  {row['error']}\n"
        for place in range(1, self.top_k + 1):
            entry = f"  {row[f'score_{place}']:.3f} {row[f'label_{place}']:{self.label_width}}"
            if place > 1 and len(line) + len(entry) > self.width:
                break
            line += entry
        return f"{line.rstrip()}\n"
