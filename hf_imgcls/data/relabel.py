"""Decisions of a person about labels (`data.relabel`), applied to the splits; nothing on the disk is changed."""

import csv
from collections.abc import Collection, Iterable
from typing import NamedTuple

import datasets
import numpy as np

from hf_imgcls.data.encode import names_of
from hf_imgcls.data.rows import Data
from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe import DataSection, local_path
from hf_imgcls.words import csv_content, one_line, plural

DECISIONS = ("relabel", "drop", "keep")
DECISION_COLUMNS = (
    "file",
    "split",
    "label",
    "suggested",
    "decision",
)  # of the file; split is needed for equal names alone
_DROP, _KEEP = -2, -1


class Decision(NamedTuple):
    """What becomes of one image: `to` is the id of its new class, -1 (as it is) or -2 (dropped).

    `line` is that in the file, from 1; `split` may be empty.
    """

    line: int
    file: str
    split: str
    label: str
    to: int


def relabel(data: Data, section: DataSection, available: dict[str, datasets.Dataset]) -> None:
    """Apply the decisions of `data.relabel` to the splits, after they have been made: each keeps its images.

    Args:
        available: all splits of the source, whose images a decision may name.

    Raises:
        InputError: the file is not there or damaged; a decision names a file or class that is unknown, or a label that
            the image does not have.
    """
    if not section.relabel:
        return
    if not all(isinstance(rows.features["label"], datasets.ClassLabel) for rows in data.splits.values()):
        raise InputError("data.relabel: decides on one label per image, and these images have several; leave it out")
    found = _read(section.relabel, data.labels)
    places: dict[str, list[tuple[str, int]]] = {}
    for role, rows in data.splits.items():
        for row, name in enumerate(names_of(rows)):
            places.setdefault(name, []).append((role, row))
    known = {name for rows in available.values() for name in names_of(rows)} if found else ()
    changes = {role: np.full(len(rows), _KEEP) for role, rows in data.splits.items()}
    labels = {role: rows["label"][:] for role, rows in data.splits.items()}
    for decision in found:
        at = _place(decision, places, known, section)
        if at is None:
            continue  # an image that this run does not use
        role, row = at
        if (name := data.labels[labels[role][row]]) != decision.label:
            raise _wrong(
                section, decision, f"label is {decision.label!r}, but in the data it is {name!r}; inspect again"
            )
        changes[role][row] = decision.to
    _apply(data, changes)


def _read(path: str, labels: list[str]) -> list[Decision]:
    try:
        text = local_path(path, "data.relabel").read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError(
            f"data.relabel: {path}: {why}; hf-imgcls inspect --labels --output writes such a file"
        ) from None
    heading = text.partition("\n")[0]
    separator = max(",;\t", key=heading.count)  # spreadsheets save with their own
    rows = csv.DictReader(text.splitlines(), delimiter=separator)
    missing = {"file", "label", "suggested", "decision"} - set(rows.fieldnames or ())
    if missing:
        raise InputError(f"data.relabel: {path} has no column {min(missing)!r}; expected {', '.join(DECISION_COLUMNS)}")
    try:
        decisions = [_decision(number, row, path, labels) for number, row in enumerate(rows, 2)]
    except csv.Error as error:
        raise InputError(f"data.relabel: {path} is no CSV: {error}") from None
    return _consistent(decisions, path)


def _decision(line: int, row: dict[str, str], path: str, labels: list[str]) -> Decision:
    file, split, label, suggested = (csv_content(row.get(key) or "") for key in DECISION_COLUMNS[:4])
    word = (row["decision"] or "").strip().lower()
    where = f"data.relabel: {path}, line {line}"
    if word and word not in DECISIONS:
        expected = f"expected {', '.join(DECISIONS)} or nothing{nearest(word, DECISIONS)}"
        raise InputError(f"{where}: decision is {one_line(word, 40)!r}, {expected}")
    to = {"drop": _DROP}.get(word, _KEEP)
    if word == "relabel":
        if suggested not in labels:
            raise InputError(
                f"{where}: suggested is {one_line(suggested, 60)!r}, no class of train{nearest(suggested, labels)}"
            )
        to = labels.index(suggested)
    return Decision(line, file, split.strip(), label, to)


def _consistent(decisions: Iterable[Decision], path: str) -> list[Decision]:
    """Each image once; an InputError where two lines differ on it, so that their order does not count."""
    once: dict[tuple, Decision] = {}
    for each in decisions:
        before = once.setdefault((each.file, each.split, each.label), each)
        if before.to != each.to:
            raise InputError(
                f"data.relabel: {path}, lines {before.line} and {each.line}: two decisions on "
                f"{one_line(each.file, 100)!r}; leave one"
            )
    return list(once.values())


def _place(
    decision: Decision, places: dict[str, list[tuple[str, int]]], known: Collection[str], section: DataSection
) -> tuple[str, int] | None:
    at = places.get(decision.file, [])
    if not at and decision.file not in known:
        raise _wrong(section, decision, f"no image of {section.path} has this name{nearest(decision.file, places)}")
    if len(at) > 1:
        at = [place for place in at if place[0] == decision.split]
        if len(at) != 1:
            raise _wrong(section, decision, "several images have this name, and column split does not tell which")
    return at[0] if at else None


def _wrong(section: DataSection, decision: Decision, what: str) -> InputError:
    file = one_line(decision.file, 100)
    return InputError(f"data.relabel: {section.relabel}, line {decision.line}: {file!r}: {what}")


def _apply(data: Data, changes: dict[str, np.ndarray]) -> None:
    for role, change in changes.items():
        rows = data.splits[role]
        if data.pool is not None and "place" in rows.column_names:  # the rows of all folds, by the same decisions
            whole = np.full(len(data.pool.rows), _KEEP)
            whole[rows["place"][:]] = change
            data.pool = data.pool._replace(rows=_with_labels(data.pool.rows, whole))
        dropped, changed = int((change == _DROP).sum()), int((change >= 0).sum())
        if dropped == len(rows):
            raise InputError(f"data.relabel: drops all {plural(dropped, 'image')} of {role}")
        if changed:
            data.splits[role] = rows = _with_labels(rows, change)
        if dropped:
            data.splits[role] = rows.select(np.flatnonzero(change != _DROP))
        if changed or dropped:
            data.notes.append(f"{role}: {plural(changed, 'image')} relabelled, {dropped:,} dropped (data.relabel)")


def _with_labels(rows: datasets.Dataset, change: np.ndarray) -> datasets.Dataset:
    labels = np.where(change >= 0, change, rows["label"][:])
    return rows.remove_columns("label").add_column("label", labels, feature=rows.features["label"])
