"""The runs under a folder, found and read without torch: damaged and foreign folders are named, never an error."""

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from hf_imgcls.errors import InputError
from hf_imgcls.store.begun import BEGUN
from hf_imgcls.store.failed import FAILED
from hf_imgcls.store.files import read_json
from hf_imgcls.store.locks import LOCK
from hf_imgcls.store.run_folder import CANDIDATES, RECIPE, RESULTS, SEVERAL
from hf_imgcls.store.search_folder import SEARCH
from hf_imgcls.store.writer import writer_of
from hf_imgcls.words import listed, one_line

_OF_A_RUN = re.compile(r"checkpoint-.*|stage-\d+|network-\d+|plots|__pycache__|\..*")
_OTHERS = {RESULTS: "an evaluation", SEARCH: "a search (hf-imgcls tune)"}
_BEGUN = {RECIPE, BEGUN, CANDIDATES}  # of a run, also of one that was killed early
_EVALUATION = {"model", "data", "split", "scores"}


class FoundRun(NamedTuple):
    """A run, or a folder of several.

    Attributes:
        kind: `run`, `network` of an ensemble, `fold`, `seed`, or `folds` and `seeds` of their folder.
        state: `finished`, `running`, `interrupted`, `failed` or `damaged`; `reason` says why it is not finished.
        date: of its newest file, in seconds.
        recipe, results: as its files have them; {} where there are none. Of several, results are their summary.
        members: the runs of several, the networks of an ensemble.
    """

    folder: Path
    kind: str
    state: str
    reason: str
    date: float
    recipe: dict[str, Any]
    results: dict[str, Any]
    members: tuple["FoundRun", ...] = ()


def find_runs(folder: Path) -> tuple[list[FoundRun], list[str]]:
    """The runs in a folder and below it, by name; and lines about folders that cannot be read or are no runs.

    Links are followed, each folder once. An InputError where there is no such folder.
    """
    if not folder.is_dir():
        what = f"{folder} is a file" if folder.exists() else f"there is no folder {folder} (in {Path.cwd()})"
        raise InputError(f"runs: {what}; name the one that your runs are in")
    search = _Search()
    found = search.look(folder)
    if not found and not search.lines:
        search.others.append(folder)
    lines = [*search.lines, f"not runs: {listed(search.others)}"] if search.others else search.lines
    return found, lines


class _Search:
    """A walk through folders: `lines` about those that cannot be read, and `others`, in which there are no runs."""

    def __init__(self):
        self.lines: list[str] = []
        self.others: list[Path] = []
        self.seen: set[str] = set()

    def look(self, folder: Path) -> list[FoundRun] | None:
        """The runs in a folder; None where it has been looked at already."""
        real = os.path.realpath(folder)
        if real in self.seen:
            return None
        self.seen.add(real)
        try:
            folders, files = _entries(folder)
        except OSError as error:
            self.lines.append(f"{folder}: cannot be read: {error.strerror}")
            return []
        own, found = _run_of(folder, folders, files)
        empty = []
        for name in sorted(folders - own, key=natural):
            if not _OF_A_RUN.fullmatch(name):
                told, inside = len(self.lines), self.look(folder / name)
                found += inside or ()
                empty += [folder / name] if inside == [] and len(self.lines) == told else []
        other = _OTHERS.get(next(iter({RESULTS, SEARCH} & files), ""))
        if other and not found:
            self.lines.append(f"{folder}: is {other}, not a run")
        self.others += empty if found and not _BEGUN & files else []
        return found


def _entries(folder: Path) -> tuple[set[str], set[str]]:
    """The names of the folders and of the files in a folder."""
    folders, files = set(), set()
    with os.scandir(folder) as entries:
        for entry in entries:  # `is_dir` of a link to itself raises
            is_folder = os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()
            (folders if is_folder else files).add(entry.name)
    return folders, files


def _run_of(folder: Path, folders: set[str], files: set[str]) -> tuple[set[str], list[FoundRun]]:
    """The run, or the several runs, that a folder is, and which of its folders belong to them."""
    if _BEGUN & files or (RESULTS in files and not _is_evaluation(folder)):
        return set(), [_read_run(folder, "run")]
    for unit in SEVERAL:
        own = [name for name in _members(folders, unit) if (folder / name / RECIPE).is_file()]
        if own:
            return set(own), [_read_several(folder, unit, own)]
    return set(), []


def _members(names: set[str], unit: str) -> list[str]:
    """Of names of folders those of a unit's runs, by their number."""
    return sorted((name for name in names if re.fullmatch(rf"{unit}-\d+", name)), key=natural)


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts `seed-2` before `seed-10`."""
    return [(int(part), "") if part.isascii() and part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _is_evaluation(folder: Path) -> bool:
    content, _ = _read(folder / RESULTS)
    return content.keys() >= _EVALUATION


def _read_run(folder: Path, kind: str) -> FoundRun:
    networks = _members({place.name for place in folder.glob("network-*")}, "network")
    members = tuple(_read_run(folder / name, "network") for name in networks)
    recipe, fault = _read(folder / RECIPE)
    results, fault_of_results = _read(folder / RESULTS)
    fault = fault or fault_of_results
    if results and not isinstance(results.get("scores"), dict):
        fault = f"{RESULTS} has no scores"
    state, reason = ("damaged", fault) if fault else _state(folder, results, members)
    return FoundRun(folder, kind, state, reason, _newest(folder), recipe, results, members)


def _state(folder: Path, results: dict[str, Any], members: tuple[FoundRun, ...]) -> tuple[str, str]:
    if results:
        parity = results.get("parity")
        wrong = isinstance(parity, dict) and parity.get("passed") is False
        return ("failed", "parity check: pipeline() predicts otherwise") if wrong else ("finished", "")
    if by := writer_of(folder / LOCK):
        return "running", by
    if isinstance(error := _read(folder / FAILED)[0].get("error"), str):
        return "failed", one_line(error)
    failed = next((each for each in members if each.state == "failed"), None)
    return ("failed", f"{failed.folder.name}: {failed.reason}") if failed else ("interrupted", "")


def _read_several(folder: Path, unit: str, names: list[str]) -> FoundRun:
    members = tuple(_read_run(folder / name, unit) for name in names)
    summary, fault = _read(folder / SEVERAL[unit][0])
    recipe = summary.get("recipe") if isinstance(summary.get("recipe"), dict) else {}
    state, reason = ("finished", "") if summary else ("damaged", fault) if fault else ("interrupted", "")
    if other := next((each for each in members if each.state != "finished"), None):
        state, reason = other.state, ": ".join(filter(None, (other.folder.name, other.reason)))
    recipe = recipe or next((each.recipe for each in members if each.recipe), {})
    return FoundRun(folder, f"{unit}s", state, reason, _newest(folder), recipe, summary, members)


def _read(file: Path) -> tuple[dict[str, Any], str]:
    """A JSON object, {} where there is none; and what is wrong with the file."""
    if file.exists() and not file.is_file():  # a pipe would be waited for
        return {}, f"{file.name} is no file"
    try:
        content = read_json(file)
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        return {}, f"{file.name} cannot be read: {error.strerror}"
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or nested without end
        return {}, f"{file.name} is damaged"
    return (content, "") if isinstance(content, dict) and content else ({}, f"{file.name} is damaged")


def _newest(folder: Path) -> float:
    """When the results were written, or else the newest file."""
    try:
        if (folder / RESULTS).is_file():
            return (folder / RESULTS).stat().st_mtime
        with os.scandir(folder) as entries:
            return max((entry.stat().st_mtime for entry in entries), default=folder.stat().st_mtime)
    except OSError:
        return 0.0
