"""The content of report.json: what is known of each scored split, and what a temperature would change."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import datasets
import numpy as np

from hf_imgcls.reports.report.examples import confused_pairs, least_certain, worst_mistakes
from hf_imgcls.reports.report.rows import image_name
from hf_imgcls.scoring import Scored, at_temperature, fit_temperature, reliability


class Subject(NamedTuple):
    """What a report is about.

    Attributes:
        title: the run's folder, or the model.
        results: of a run or an evaluation: `scores`, `breakdown`, `cautions` and `duplicates` by split, `labels`.
        outputs: the scored splits.
        splits: their images, and those of train where there are any.
        stages: records of the training with their `history`; none of an evaluation.
        data_labels: class names in the order of the ids of `splits`, which need not be the model's.
    """

    title: str
    results: Mapping[str, Any]
    outputs: Mapping[str, Scored]
    splits: Mapping[str, Any]
    stages: Sequence[Mapping] = ()
    data_labels: Sequence[str] = ()


def report_content(subject: Subject) -> dict[str, Any]:
    """All of the report but images and curves, ready for JSON."""
    results, names = subject.results, list(subject.results["labels"])
    splits = {}
    for split, output in subject.outputs.items():
        if split not in results["scores"]:
            continue
        rows = subject.splits.get(split)
        pairs = [{**p, "rows": _described(output, rows, names, p["rows"])} for p in confused_pairs(output, names)]
        splits[split] = {
            "scores": results["scores"][split],
            **results["breakdown"][split],
            "cautions": results["cautions"].get(split, []),
            "calibration": reliability(output),
            "confused": pairs,
            "worst_mistakes": _described(output, rows, names, worst_mistakes(output)),
            "least_certain": _described(output, rows, names, least_certain(output)),
        }
    return {
        "title": subject.title,
        "labels": names,
        "splits": splits,
        "temperature": describe_temperature(subject.outputs, results.get("temperature")),
        "duplicates": results["duplicates"],
    }


def _described(output: Scored, rows, names: Sequence[str], places: Sequence[int]) -> list[dict[str, Any]]:
    """Images of a split by their places in it, ready for JSON."""
    found = []
    named = rows.select(places) if isinstance(rows, datasets.Dataset) else [None] * len(places)
    for place, row in zip(places, named, strict=True):
        found.append(
            {
                "place": place,
                "file": image_name(row) if row else None,
                "label": names[output.label_ids[place]],
                "prediction": names[output.predictions[place]],
                "score": round(float(np.exp(output.top_log_probabilities[place])), 6),
                "label_score": round(float(np.exp(output.log_likelihoods[place])), 6),
            }
        )
    return found


def describe_temperature(outputs: Mapping[str, Scored], applied: float | None) -> dict[str, Any]:
    """The temperature that validation asks for and what it changes, or why there is none.

    Args:
        applied: the one by which the logits of the saved model are divided already.
    """
    if applied is not None:
        return {"applied": applied, "value": None, "why": "the saved model's scores are at that temperature already"}
    fitted = outputs.get("validation")
    if fitted is None:
        return {"applied": None, "value": None, "why": "there is no validation split that was scored to fit one on"}
    if fitted.probabilities is None:
        return {"applied": None, "value": None, "why": "the scores of all classes were not kept"}
    temperature = fit_temperature(fitted)
    if temperature is None:
        return {"applied": None, "value": None, "why": "no validation image is predicted wrongly, or one has no scores"}
    changed = {}
    for split, output in outputs.items():
        if output.probabilities is not None:
            both = {"before": output, "after": at_temperature(output, temperature)}
            changed[split] = {when: _calibration(each) for when, each in both.items()}
    return {"applied": None, "value": round(temperature, 6), "images": len(fitted), "splits": changed}


def _calibration(output: Scored) -> dict[str, Any]:
    return {"loss": round(float(-output.log_likelihoods.mean()), 6), "calibration_error": reliability(output)["error"]}
