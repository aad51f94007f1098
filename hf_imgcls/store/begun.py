"""What a run was begun with, beside recipe and data: a resume with something else would give another result."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hf_imgcls.errors import InputError
from hf_imgcls.store.files import read_json, write_json

BEGUN = "begun.json"
_MOST = 3  # differences that a line names
_LONG = 40  # characters of a value


class Beginning(NamedTuple):
    """What a run is begun with, ready for JSON.

    Attributes:
        recipe: as run, overrides applied.
        splits: `{"fingerprints": {...}, ...}`.
        settings: what the result depends on beside these, such as the number of processes.
        last_digits: what changes no more than the last digits, such as the versions of packages.
    """

    recipe: Mapping[str, Any]
    splits: Mapping[str, Any]
    settings: Mapping[str, Any]
    last_digits: Mapping[str, Any]


def go_on_with(folder: Path, now: Beginning, resume_anyway: bool) -> list[str]:
    """Compare with what an unfinished run was begun with, and keep what is the case now.

    A value that only one of the two has, because another version wrote it, is not compared.

    Returns:
        A line about each difference.

    Raises:
        InputError: the result would be another one, and nobody has said to go on all the same.
    """
    if not (folder / BEGUN).exists():
        changes, found = [], ["begun by a version that did not keep the number of processes, device and precision"]
    else:
        before = read_kept(folder / BEGUN)
        changes, other = before["changes"], differences(before["settings"], now.settings, in_both=True)
        if other and not resume_anyway:
            raise InputError(
                f"training.output_dir: begun with {listed_few(other)}, which would change the result; start it as it "
                f"was begun, or add --resume-anyway or --start-over (the unfinished run in {folder})"
            )
        found = []
        if other:
            found.append(f"begun with {listed_few(other)}, and resumed anyway: not the result of an uninterrupted run")
        if digits := differences(before["last_digits"], now.last_digits, in_both=True):
            found.append(f"begun with {listed_few(digits)}: the last digits of the result may differ")
    keep_begun(folder, now, changes + found)
    return found


def keep_begun(folder: Path, now: Beginning, changes: list[str]) -> None:
    write_json(folder / BEGUN, {"settings": now.settings, "last_digits": now.last_digits, "changes": changes})


def resumed_with(folder: Path) -> list[str]:
    """What `go_on_with` found at each resume of a run."""
    return read_json(folder / BEGUN)["changes"]


def read_kept(file: Path) -> Any:
    """What a run keeps about itself; an InputError where that is damaged or gone."""
    try:
        return read_json(file)
    except (FileNotFoundError, ValueError) as error:  # the latter: no JSON, no UTF-8
        what = "gone" if isinstance(error, OSError) else "damaged"
        raise InputError(
            f"training.output_dir: {file} is {what}; put it back from a copy, name another folder, or add --start-over"
        ) from None


def differences(
    before: Mapping, now: Mapping, in_both: bool = False, may_change: Callable[[str], bool] = lambda key: False
) -> list[str]:
    """`key value, now another`, for each key of nested sections that differs; `in_both`: of the keys of both alone."""
    old, new = dict(_flat(before)), dict(_flat(now))
    keys = [key for key in old if key in new] if in_both else [*old, *(key for key in new if key not in old)]
    changed = [key for key in keys if old.get(key) != new.get(key) and not may_change(key)]
    return list(dict.fromkeys(f"{_name(key)} {_short(old, key)}, now {_short(new, key)}" for key in changed))


def listed_few(lines: list[str]) -> str:
    return "; ".join(lines[:_MOST]) + (f"; and {len(lines) - _MOST} more" if len(lines) > _MOST else "")


def _flat(section: Mapping | list, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items() if isinstance(section, Mapping) else enumerate(section):
        if isinstance(value, Mapping | list) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _name(key: str) -> str:
    """A key of begun.json in words, one of a recipe as it is."""
    first, _, rest = key.partition(".")
    return rest.partition(".")[2] if first == "each_stage" else rest if first in ("versions", "run") else key


def _short(values: Mapping, key: str) -> str:
    if key not in values:
        return "not set"
    value = values[key]
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"
