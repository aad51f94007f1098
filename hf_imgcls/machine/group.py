"""What the processes of a launch, on whatever machines, must have in common: the folder they write, recipe and data."""

import platform
import time
import uuid
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from accelerate import PartialState
from accelerate.utils import gather_object

from hf_imgcls.errors import InputError
from hf_imgcls.machine.processes import on_main
from hf_imgcls.store import TOKEN
from hf_imgcls.words import listed

_SECONDS = 5.0  # in which a network drive shows every machine a new file


def check_shared(folder: Path, key: str) -> None:
    """Refuse a folder (InputError) that is another one for some process: of its own machine, or of its own directory.

    The first process writes checkpoints there, which all of them read: to resume, for the best one, for a next stage.
    """
    if PartialState().num_processes == 1:
        return
    places = [folder, *folder.parents]
    place, token = on_main(lambda: _leave_token(places))
    seen = gather_object([(*_this_process(), _is_there(places[place] / token))])
    on_main(lambda: (places[place] / token).unlink(missing_ok=True))
    apart = next((process for process in seen if not process[2]), None)
    if apart:
        number, machine, _ = apart
        raise InputError(
            f"{key}: {folder} of process {number} on {machine} is not the folder of the first process, on "
            f"{seen[0][1]}; name one on a drive that all machines share, as an absolute path"
        )


def check_same(what: str, facts: Mapping[str, Any], but: Collection[str] = ()) -> None:
    """Refuse (InputError) that a process has other facts than the first: they would train different things together.

    Args:
        what: what they are of, for the line: "the images".
        facts: values, or sections of them.
        but: keys that may differ, as where machines have the same images in other places.
    """
    if PartialState().num_processes == 1:
        return
    own = {
        f"{name}.{key}": value
        for name, part in facts.items()
        if isinstance(part, Mapping)
        for key, value in part.items()
    }
    own |= {name: value for name, value in facts.items() if not isinstance(value, Mapping)}
    found = gather_object([(*_this_process(), {key: value for key, value in own.items() if key not in but})])
    for number, machine, own in found:
        first = found[0][2]
        if other := sorted(key for key in first.keys() | own.keys() if first.get(key) != own.get(key)):
            raise InputError(
                f"launch: {what} of process {number} on {machine} are not those of the first process, on "
                f"{found[0][1]} ({listed(other, 3)}); every process needs the same"
            )


def _this_process() -> tuple[int, str]:
    return PartialState().process_index, platform.node()


def _leave_token(places: list[Path]) -> tuple[int, str]:
    """Write a file, of a name that no machine has looked for before, into the first of these folders that is there."""
    place = next(number for number, folder in enumerate(places) if folder.is_dir())
    token = f"{TOKEN}{uuid.uuid4().hex}"
    (places[place] / token).touch()
    return place, token


def _is_there(file: Path) -> bool:
    begun = time.monotonic()
    while not file.exists():
        if time.monotonic() - begun > _SECONDS:
            return False
        time.sleep(0.1)
    return True
