"""The content of report.json: what is known of each scored split, and what a temperature would change."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hf_imgcls.reports.report.examples import confused_pairs, least_certain, worst_mistakes
from hf_imgcls.reports.report.image_map import map_content
from hf_imgcls.reports.report.rows import image_name
from hf_imgcls.reports.report.sets import content_of_sets
from hf_imgcls.reports.report.temperature import temperature_content
from hf_imgcls.scoring import Scored, ScoredSets, reliability


class Subject(NamedTuple):
    """What a report is about.

    Attributes:
        title: the run's folder, or the model.
        results: of a run or an evaluation: `scores`, `breakdown`, `cautions` and `duplicates` by split, `labels`.
        outputs: the scored splits.
        splits: their images, and those of train where there are any.
        stages: records of the training with their `history`; none of an evaluation.
        data_labels: class names in the order of the ids of `splits`, which need not be the model's.
        opened: gives the scored network and its image processor, for maps of where it looks; None for none.
    """

    title: str
    results: Mapping[str, Any]
    outputs: Mapping[str, Scored]
    splits: Mapping[str, Any]
    stages: Sequence[Mapping] = ()
    data_labels: Sequence[str] = ()
    opened: Callable[[], tuple[Any, Any]] | None = None


def report_content(subject: Subject) -> dict[str, Any]:
    """All of the report but images and curves, ready for JSON."""
    results, names = subject.results, list(subject.results["labels"])
    splits = {}
    for split, output in subject.outputs.items():
        if split not in results["scores"]:
            continue
        rows = subject.splits.get(split)
        about = content_of_sets if isinstance(output, ScoredSets) else _content_of
        splits[split] = {
            "scores": results["scores"][split],
            **results["breakdown"][split],
            "cautions": results["cautions"].get(split, []),
            **about(output, rows, names),
        }
    if main := main_of(splits):
        splits[main]["map"] = map_content(subject.outputs[main])
    return {
        "title": subject.title,
        "labels": names,
        "splits": splits,
        "temperature": temperature_content(subject.outputs, results.get("temperature")),
        "duplicates": results["duplicates"],
    }


def main_of(splits: Iterable[str]) -> str | None:
    """The split that the page is about: test, else validation, else the first."""
    return next((split for split in ("test", "validation") if split in splits), next(iter(splits), None))


def _content_of(output: Scored, rows, names: Sequence[str]) -> dict[str, Any]:
    pairs = [{**p, "rows": _described(output, rows, names, p["rows"])} for p in confused_pairs(output, names)]
    return {
        "calibration": reliability(output),
        "confused": pairs,
        "worst_mistakes": _described(output, rows, names, worst_mistakes(output)),
        "least_certain": _described(output, rows, names, least_certain(output)),
    }


def _described(output: Scored, rows, names: Sequence[str], places: Sequence[int]) -> list[dict[str, Any]]:
    """Images of a split by their places in it, ready for JSON."""
    found = []
    for place in places:
        found.append(
            {
                "place": place,
                "file": image_name(rows, place),
                "label": names[output.label_ids[place]],
                "prediction": names[output.predictions[place]],
                "score": round(float(np.exp(output.top_log_probabilities[place])), 6),
                "label_score": round(float(np.exp(output.log_likelihoods[place])), 6),
            }
        )
    return found
