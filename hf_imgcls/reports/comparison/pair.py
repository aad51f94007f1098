"""Rows of several runs brought together: the same images in one order, or a line on why they are not the same."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from hf_imgcls.errors import InputError
from hf_imgcls.reports.comparison.outputs import scored_rows
from hf_imgcls.reports.comparison.read import ScoredRun
from hf_imgcls.scoring import Scored, ScoredSets
from hf_imgcls.words import listed


class Paired(NamedTuple):
    """One split as all runs scored it, image by image.

    Attributes:
        rows: of each run, in the order of the first one.
        outputs: the same as scored splits.
        whole: whether these are all images of the split in all of them.
        notes: what must be read with the comparison.
    """

    split: str
    rows: list[pa.Table]
    outputs: list[Scored | ScoredSets]
    whole: bool
    notes: list[str]


def pair_runs(runs: Sequence[ScoredRun], split: str | None = None, common: bool = False) -> Paired:
    """The images of a split that all runs scored.

    Args:
        split: test, or else validation, if None.
        common: compare what all of them scored, where some scored more.

    Raises:
        InputError: kinds of labels, classes, splits, images or labels are not the same.
    """
    _check_classes(runs)
    split = _split_of(runs, split)
    rows = [run.rows.filter(pc.equal(run.rows["split"], split)) for run in runs]
    keys = [_keys(each) for each in rows]
    unnamed = [run.name for run, each in zip(runs, keys, strict=True) if each is None]
    if unnamed:
        return _by_place(runs, split, rows, unnamed)
    shared = set(keys[0]).intersection(*keys[1:])
    whole = all(len(each) == len(shared) for each in keys)
    if not shared or not (whole or common):
        _refuse_images(runs, split, keys, shared)
    chosen = [key for key in keys[0] if key in shared]
    for number, each in enumerate(keys):
        places = {key: place for place, key in enumerate(each)}
        rows[number] = rows[number].take(pa.array([places[key] for key in chosen], pa.int64()))
    _check_labels(runs, split, rows)
    notes = _contents(runs, split, whole, all(each == keys[0] for each in keys))
    if not whole:
        counts = ", ".join(f"{len(each):,} in {run.name}" for run, each in zip(runs, keys, strict=True))
        notes.append(f"{len(chosen):,} images that all of them scored, of {counts}: not the whole split")
    return Paired(split, rows, [scored_rows(each, runs[0].labels) for each in rows], whole, notes)


def _check_classes(runs: Sequence[ScoredRun]) -> None:
    first = runs[0]
    for run in runs[1:]:
        if run.several != first.several:
            one, two = (run, first) if first.several else (first, run)
            raise InputError(f"compare: {one.name} predicts one label an image, {two.name} several (model.multi_label)")
        if run.labels == first.labels:
            continue
        if sorted(run.labels) == sorted(first.labels):
            raise InputError(
                f"compare: {run.name} has the classes of {first.name} in another order ({listed(run.labels, 3)}; "
                f"{listed(first.labels, 3)}); set data.label_names to one order in both"
            )
        other = [name for name in run.labels if name not in first.labels]
        other = other or [name for name in first.labels if name not in run.labels]
        raise InputError(
            f"compare: {run.name} has {len(run.labels)} classes and {first.name} {len(first.labels)}, and they are not "
            f"the same ({listed(map(repr, other), 3)}); compare models of the same classes"
        )


def _split_of(runs: Sequence[ScoredRun], wanted: str | None) -> str:
    have = "; ".join(f"{run.name} has {', '.join(run.splits)}" for run in runs)
    shared = [each for each in runs[0].splits if all(each in run.splits for run in runs)]
    if wanted and wanted not in shared:
        raise InputError(f"compare: --split: {wanted!r} was not scored by all of them: {have}")
    if not shared:
        raise InputError(f"compare: no split was scored by all of them: {have}")
    return wanted or next((each for each in ("test", "validation") if each in shared), shared[0])


def _keys(rows: pa.Table) -> list[tuple[str, int]] | None:
    """Each image by its file, or else its row, and how often it was there before; None where neither is known."""
    found, before = [], Counter()
    for file, row in zip(rows["file"].to_pylist(), rows["row"].to_pylist(), strict=True):
        if file is None and row is None:
            return None
        name = f"row {row}" if file is None else file
        found.append((name, before[name]))
        before[name] += 1
    return found


def _by_place(runs: Sequence[ScoredRun], split: str, rows: list[pa.Table], unnamed: list[str]) -> Paired:
    """Images without names: the same where as many labels follow each other alike."""
    labels = rows[0].column(3)
    if len(unnamed) < len(runs) or any(not each.column(3).equals(labels) for each in rows):
        raise InputError(
            f"compare: the images of {split} have no names in {listed(unnamed)} (a stream), and their labels in order "
            "are not those of the others; score them without data.streaming"
        )
    note = "images of a stream have no names: they are taken to be the same, as their labels are, in this order"
    return Paired(split, rows, [scored_rows(each, runs[0].labels) for each in rows], True, [note])


def _refuse_images(runs: Sequence[ScoredRun], split: str, keys: list[list], shared: set) -> None:
    counts = ", ".join(f"{len(each):,} in {run.name}" for run, each in zip(runs, keys, strict=True))
    run, own = next((run, each) for run, each in zip(runs, keys, strict=True) if len(each) > len(shared))
    example = next(name for name, number in own if (name, number) not in shared)
    what = f"{len(shared):,} in all of them (--common compares these)" if shared else "none in all of them"
    raise InputError(
        f"compare: the runs were scored on different images of {split}: {counts}, {what}; {example} is not in all, but "
        f"in {run.name}; score them on the same data (hf-imgcls evaluate)"
    )


def _check_labels(runs: Sequence[ScoredRun], split: str, rows: list[pa.Table]) -> None:
    first = rows[0].column(3).to_pylist()
    for run, each in zip(runs[1:], rows[1:], strict=True):
        own = each.column(3).to_pylist()
        other = [place for place, label in enumerate(own) if label != first[place]]
        if other:
            name = image_name(each, other[0])
            raise InputError(
                f"compare: {len(other):,} of {len(own):,} images of {split} have other labels in {run.name} than in "
                f"{runs[0].name}, the first: {name} ({own[other[0]]}; {first[other[0]]}); score both on the same labels"
            )


def image_name(rows: pa.Table, place: int) -> str:
    """Its file, or else its row; of a stream its place."""
    row = rows["row"][place].as_py()
    return rows["file"][place].as_py() or (f"image {place}" if row is None else f"row {row}")


def _contents(runs: Sequence[ScoredRun], split: str, whole: bool, same_order: bool) -> list[str]:
    """Compare the contents of images by the fingerprints of the split, where these can tell."""
    prints = {run.name: run.fingerprint(split) for run in runs}
    if len({*prints.values()}) == 1 and None not in prints.values():
        return []
    if whole and same_order and None not in prints.values():
        name = next(name for name, each in prints.items() if each != next(iter(prints.values())))
        raise InputError(
            f"compare: images of {split} have the same names and labels in {runs[0].name} and {name}, but not the same "
            "contents; score both on the same images (hf-imgcls evaluate)"
        )
    return ["images are the same by name and label; whether their contents are was not compared"]
