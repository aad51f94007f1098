"""Images that are there more than once, byte for byte: trained on and scored, or under different labels."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hf_imgcls.data.rows import Checked, Data
from hf_imgcls.data.splits import fingerprint
from hf_imgcls.errors import InputError
from hf_imgcls.words import plural

_NAMED = 20  # examples of an overlap that are kept


class Overlap(NamedTuple):
    """Images of a split whose bytes are in another one too, or, where both are the same, there more than once.

    Attributes:
        different_labels: how many of them have another label there.
        examples: at most 20, those with different labels first: `file`, `label`, `other_file`, `other_label`.
    """

    split: str
    other: str
    images: int
    different_labels: int
    examples: list[dict[str, str]]


def compare_splits(data: Data, checked: dict[str, Checked], drop_from_train: bool) -> None:
    """Find what splits have in common; take it out of train if wanted.

    Sets `overlaps` and `digests` of the data. Duplicates within train stay: they are trained on twice, but not scored.
    """
    numbers = {role: short_digests(each.digests) for role, each in checked.items()}
    if drop_from_train and len(checked) > 1 and "train" in checked:
        held_out = np.concatenate([found for role, found in numbers.items() if role != "train"])
        keep = np.flatnonzero(~np.isin(numbers["train"], held_out))
        keep_in_train(data, checked, keep, "in validation or test too, byte for byte")
        numbers["train"] = numbers["train"][keep]
    roles = list(checked)
    for position, role in enumerate(roles):
        for other in roles[: position + 1]:
            found = _overlap(role, other, checked, numbers)
            data.overlaps += [found] if found.images else []
    data.digests = numbers


def short_digests(digests: list[str]) -> np.ndarray:
    """The first 8 bytes of each, as numbers: a million images have two alike with a probability of 3e-8."""
    return np.array([int(digest[:16], 16) for digest in digests], np.uint64)


def keep_in_train(data: Data, checked: dict[str, Checked], keep: np.ndarray, what: str) -> None:
    """Leave these rows of train; the others, which are `what`, are dropped with a note."""
    files, digests, labels = checked["train"]
    dropped = len(files) - len(keep)
    if not dropped:
        return
    if len(keep) == 0:
        raise InputError(
            f"data.duplicates: all {plural(dropped, 'image')} of train are {what}; dropping them leaves nothing to "
            "train on"
        )
    checked["train"] = kept = Checked([files[i] for i in keep], [digests[i] for i in keep], labels[keep])
    data.splits["train"] = data.splits["train"].select(keep)
    data.fingerprints["train"] = fingerprint(kept.files, kept.digests, list(kept.labels))
    data.notes.append(
        f"train: {plural(dropped, 'image')} that {'is' if dropped == 1 else 'are'} {what}, dropped (data.duplicates)"
    )


def _overlap(split: str, other: str, checked: dict[str, Checked], numbers: dict[str, np.ndarray]) -> Overlap:
    mine, theirs = checked[split].labels, checked[other].labels
    known, first, inverse, counts = np.unique(
        numbers[other], return_index=True, return_inverse=True, return_counts=True
    )
    several = np.zeros(len(known), bool)  # digests with more than one label
    several[inverse[theirs != theirs[first][inverse]]] = True
    place = np.searchsorted(known, numbers[split]).clip(max=len(known) - 1)
    shared = known[place] == numbers[split]
    if split == other:
        shared &= counts[place] > 1
    different = shared & (several[place] | (mine != theirs[first[place]]))
    rows = [*np.flatnonzero(different), *np.flatnonzero(shared & ~different)][:_NAMED]
    examples = []
    for row in rows:
        same = np.flatnonzero(numbers[other] == numbers[split][row])
        same = same[same != row] if split == other else same
        twin = next((i for i in same if theirs[i] != mine[row]), same[0])
        examples.append(
            {
                "file": checked[split].files[row],
                "label": mine[row],
                "other_file": checked[other].files[twin],
                "other_label": theirs[twin],
            }
        )
    return Overlap(split, other, int(shared.sum()), int(different.sum()), examples)


def save_digests(file: Path, digests: Mapping[str, np.ndarray]) -> None:
    """What train and validation consist of, 8 bytes an image, sorted: which images a model has seen, for `evaluate`."""
    draft = file.with_name(f"{file.name}.part")
    with draft.open("wb") as stream:
        np.savez(stream, **{role: np.unique(digests[role]) for role in ("train", "validation") if role in digests})
    draft.replace(file)


def read_digests(file: Path) -> dict[str, np.ndarray]:
    """The content of such a file; raises ValueError where it is damaged."""
    try:
        with np.load(file) as stored:
            found = {role: stored[role] for role in stored.files}
    except (OSError, EOFError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file.name} cannot be read: {' '.join(str(error).split())[:100]}") from None
    if any(each.dtype != np.uint64 for each in found.values()):
        raise ValueError(f"{file.name} does not hold digests")
    return found
