"""Pushing a finished run, with what is made of it on the way."""

from collections.abc import Collection
from functools import partial
from pathlib import Path

from hf_imgcls.api.export import ExportOptions, export_model
from hf_imgcls.errors import InputError
from hf_imgcls.machine import say
from hf_imgcls.publishing import push_saved


def push_model(folder: Path, name: str | None = None, private: bool | None = None, extras: Collection[str] = ()) -> str:
    """Push the folder of a finished run, by default to the repository that its recipe names, and read it back.

    Args:
        name: `name` or `owner/name`.
        extras: what is pushed too, of "demo", "handler" and "web"; the last is exported, and checked, before anything
            is pushed.

    Returns:
        `owner/name`.
    """
    return push_saved(folder, name, private, extras, partial(_export_page, folder) if "web" in extras else None)


def _export_page(folder: Path, target: Path) -> None:
    # The code that a run's folder has is this package's.
    options, lines = ExportOptions(trust_remote_code=True, format="web"), []
    try:
        export_model(str(folder), target, options, lines.append)
    except InputError as error:
        raise InputError(f"push: --with-web: {error}; or push without it") from None
    for line in lines[1:]:  # the first names the folder, which is not kept
        say(f"web: {line}")
