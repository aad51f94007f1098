"""Where an output may be: not where the next training would read it as data."""

import os
from collections.abc import Iterable
from itertools import filterfalse
from pathlib import Path

from hf_imgcls.errors import InputError
from hf_imgcls.recipe import DATA_FILES
from hf_imgcls.serving.output import FORMATS, read_rows


def check_place(output: Path, images: Iterable[str]) -> None:
    """Refuse a new output that the next training would read as a table of the images' folder."""
    folder = output.parent.resolve()
    if output.exists() or not any(
        folder.is_relative_to(Path(each).resolve()) for each in images if os.path.isdir(each)
    ):
        return
    beside = [file for file in folder.iterdir() if file.suffix.lower() in DATA_FILES and not file.name.startswith(".")]
    table = output if output.stem == "metadata" else next(filterfalse(_is_ours, beside), None)
    if table:
        why = "by its name" if table == output else f"beside {table.name}"
        raise InputError(f"--output: {output} would be read as data of that folder, {why}; name a file outside of it")


def _is_ours(file: Path) -> bool:
    try:
        return file.suffix.lower() in FORMATS and next(read_rows(file), None) is not None
    except InputError:
        return False
