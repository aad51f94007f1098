"""The folder of a search: begun, gone on with, or refused."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_imgcls.errors import InputError
from hf_imgcls.store.begun import differences, listed_few, read_kept
from hf_imgcls.store.files import write_json
from hf_imgcls.store.locks import LOCK
from hf_imgcls.store.run_folder import MAY_CHANGE

SEARCH = "search.json"


def open_search(folder: Path, now: Mapping[str, Any]) -> None:
    """Begin a search in a folder, or go on with the one there; several processes may.

    Args:
        now: its `recipe`, the ranges in `tune`, and `fingerprints` of the images.

    Raises:
        InputError: something else is there, or a search of another recipe, of other ranges or images.
    """
    if (folder / SEARCH).exists():
        if changed := differences(read_kept(folder / SEARCH), now, may_change=_may_change):
            raise InputError(
                f"--output: the search in {folder} was begun with {listed_few(changed)}; put that back, or "
                "name another folder"
            )
        return
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output: {folder} is a file; name a folder")
    there = {file.name for file in folder.iterdir()} if folder.exists() else set()
    if there - {f"study{LOCK}", f"{SEARCH}.part"}:
        raise InputError(f"--output: {folder} holds files that are not a search; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / SEARCH, now)


def _may_change(key: str) -> bool:
    section, _, rest = key.partition(".")
    return section == "recipe" and re.sub(r"^stages\.\d+\.", "", rest) in MAY_CHANGE
