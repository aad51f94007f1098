"""Groups (patients, sites, videos) that are both trained on and scored: what a score says about new ones."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from hf_imgcls.data import Data, SharedGroups
from hf_imgcls.scoring import METRICS, Scored, main_metric, score_part
from hf_imgcls.words import plural


def collect_groups(data: Data, outputs: Mapping[str, Scored]) -> list[dict[str, Any]] | None:
    """The groups that a run's splits share, ready for JSON, each `without`: the scores without images of these.

    None where the recipe names no column of groups.
    """
    if data.group_column is None:
        return None
    found = []
    for shared in data.shared_groups:
        known = shared.split in outputs
        groups, others = (data.splits[role]["group"][:] for role in (shared.split, shared.other))
        rest = score_part(outputs[shared.split], ~np.isin(groups, others)) if known else None
        found.append({"column": data.group_column, **shared._asdict(), "without": rest})
    return found


def describe_shared(shared: Iterable[SharedGroups], column: str | None, sizes: Mapping[str, int]) -> list[str]:
    """A line for each pair of splits before anything is trained, with an example."""
    return [
        f"{each.split}: {_counted(each._asdict(), sizes[each.split], column)} (first: {each.examples[0]!r})"
        for each in shared
    ]


def caution_of(shared: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """What must stand beside the metrics of a split, `values`."""
    line, rest = _counted(shared, values["images"], shared["column"]), shared["without"]
    if not rest:
        # A validation split selects the checkpoint, but nothing is trained on it.
        score = METRICS[main_metric(values)].name
        return f"{line}: the {score} says nothing about new groups" if shared["other"] == "train" else line
    return f"{line}; {describe_rest(rest)}"


def describe_rest(rest: Mapping[str, Any]) -> str:
    """The main metric of the images of a split that are not also elsewhere, of `score_part`."""
    main = main_metric(rest)
    low, high = rest[f"{main}_interval_95"]
    others = f"the other {plural(rest['images'], 'image')}"
    return f"{METRICS[main].name} {rest[main]:.4f} on {others} (95 % interval {low:.4f} to {high:.4f})"


def _counted(shared: Mapping[str, Any], total: int, column: str | None) -> str:
    images, groups, of_groups = shared["images"], shared["groups"], shared["of_groups"]
    counted = f"all {plural(total, 'image')}" if images == total > 1 else f"{images:,} of {plural(total, 'image')}"
    be = "is" if images == 1 else "are"
    belong = f"{be} of {groups:,} of {plural(of_groups, 'group')} (column {column!r})"
    return f"{counted} {belong} that {'is' if groups == 1 else 'are'} also in {shared['other']}"
