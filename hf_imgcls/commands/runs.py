"""list the runs under a folder, with their scores"""

import argparse
import shutil
import sys
from pathlib import Path

from hf_imgcls.errors import InputError
from hf_imgcls.words import one_line

_STDOUT = "-"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", type=Path, default=Path("runs"), help="default: runs")
    parser.add_argument(
        "--sort", default="name", metavar="KEY", help="name, state, date, model, data, time, test, validation.loss, ..."
    )
    parser.add_argument("--json", nargs="?", const=_STDOUT, metavar="FILE", help="as JSON, into a file or printed")
    parser.add_argument("--csv", nargs="?", const=_STDOUT, metavar="FILE", help="as CSV, into a file or printed")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.commands.run_rows import rows_of, sort_rows
    from hf_imgcls.commands.run_table import as_cells, as_objects, table_of
    from hf_imgcls.store import csv_text, find_runs, write_text
    from hf_imgcls.words import as_json

    target = _target(options)
    found, lines = find_runs(options.folder)
    rows = sort_rows(rows_of(found), options.sort)
    if options.json is not None:
        text = as_json({"runs": as_objects(rows), "others": lines}, indent=2) + "\n"
    elif options.csv is not None:
        text = csv_text(*as_cells(rows))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 240
        text = "\n".join([*table_of(rows, max(width, 80)), ""]) if rows else ""
    if target:
        write_text(target, text)
    else:
        print(text, end="", flush=True)
    for line in [*lines, *([] if rows else [f"{options.folder}: no runs"])]:
        print(one_line(line), file=sys.stderr)


def _target(options: argparse.Namespace) -> Path | None:
    """The file that is written; None where the listing is printed. An InputError rather than another file's end."""
    from hf_imgcls.commands.run_table import is_listing
    from hf_imgcls.store import try_place

    if options.json is not None and options.csv is not None:
        raise InputError("--csv: --json is there too; name one of them")
    key, name = ("--csv", options.csv) if options.json is None else ("--json", options.json)
    if name in (None, _STDOUT):
        return None
    target = Path(name)
    if target.is_dir():
        raise InputError(f"{key}: {target} is a folder; name a file behind {key}, and FOLDER before it")
    if target.exists() and not is_listing(target.read_text(encoding="utf-8", errors="replace")[:200]):
        raise InputError(f"{key}: {target} is there, and no listing of runs; name another file")
    if not target.absolute().parent.is_dir():
        raise InputError(f"{key}: there is no folder {target.parent}")
    try_place(target.absolute().parent, key)
    return target
