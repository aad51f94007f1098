"""The content of a comparison, ready for JSON: scores, recipes, what differs with p-values, the images on which."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import safetensors

from hf_imgcls.reports.comparison.pair import Paired, image_name
from hf_imgcls.reports.comparison.read import ScoredRun
from hf_imgcls.reports.report.sets import NO_LABEL
from hf_imgcls.scoring import (
    Scored,
    ScoredSets,
    compare_splits,
    compute_metrics,
    losses_of_sets,
    set_metrics,
    split_metrics,
)
from hf_imgcls.store import differing_keys

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch normalizations


def compare_content(runs: Sequence[ScoredRun], paired: Paired) -> dict[str, Any]:
    """All that is said of the comparison.

    Returns:
        `split`, `images`, `whole` (whether these are all of the split), `notes`; `runs` (`run`, `folder`, `model`,
        `scores`, `seconds` of the run that trained it, `parameters`, `cautions`), in their order; `recipes`, of each
        run the keys that not all have alike; `comparisons` of each run with the first (`run`, `with`, and what
        `compare_splits` returns); `differing`, the images that are not predicted alike by all.
    """
    recipes = differing_keys([run.recipe for run in runs])
    compared = compare_splits(paired.outputs)
    others = zip(runs[1:], compared, strict=True)
    return {
        "split": paired.split,
        "images": len(paired.outputs[0]),
        "whole": paired.whole,
        "notes": [*paired.notes, *_optimism(runs, paired.split)],
        "runs": [_run(run, output, paired) for run, output in zip(runs, paired.outputs, strict=True)],
        "recipes": {run.name: keys for run, keys in zip(runs, recipes, strict=True)},
        "comparisons": [{"run": run.name, "with": runs[0].name, **each} for run, each in others],
        "differing": differing_images(runs, paired),
    }


def _optimism(runs: Sequence[ScoredRun], split: str) -> list[str]:
    if split != "validation" or all("model" in run.results for run in runs):
        return []
    return ["validation chose the checkpoint of each run, so its scores are slightly optimistic"]


def _run(run: ScoredRun, output: Scored | ScoredSets, paired: Paired) -> dict[str, Any]:
    return {
        "run": run.name,
        "folder": str(run.folder),
        "model": str(run.model),
        "scores": _scores(run, output, paired),
        "seconds": _seconds(run.trained),
        "parameters": count_parameters(run),
        "cautions": run.cautions(paired.split),
    }


def _scores(run: ScoredRun, output: Scored | ScoredSets, paired: Paired) -> dict[str, Any]:
    """Of the images that are compared; of a whole split also what only the run knows, as metrics of a user's own."""
    if isinstance(output, ScoredSets):
        values = set_metrics(output)
    else:
        found = {f"{paired.split}_{key}": value for key, value in compute_metrics(output).items()}
        values = split_metrics(found, paired.split, output.label_ids)
        if output.probabilities is None:  # without these the next best classes are not known
            values.pop("top5_accuracy", None)
    return values | {key: each for key, each in run.scores(paired.split).items() if paired.whole and key not in values}


def _seconds(results: dict[str, Any]) -> float | None:
    for section, key in (("time", "run"), ("training", "seconds")):
        part = results.get(section)
        if isinstance(part, dict) and isinstance(part.get(key), int | float):
            return part[key]
    return None


def count_parameters(run: ScoredRun) -> int | None:
    """Of the saved model, without the statistics of its batch normalizations; None where it is not at hand."""
    total = 0
    for file in sorted(run.model.glob("model*.safetensors")) if run.model.is_dir() else ():
        try:
            with safetensors.safe_open(file, "numpy") as saved:
                for key in saved.keys():  # noqa: SIM118
                    tensor = saved.get_slice(key)
                    if tensor.get_dtype().startswith(("F", "BF")) and not key.endswith(_STATISTICS):
                        total += int(np.prod(tensor.get_shape()))
        except (safetensors.SafetensorError, OSError):  # of which others tell more
            return None
    return total or None


def differing_images(runs: Sequence[ScoredRun], paired: Paired) -> list[dict[str, Any]]:
    """The images that not all runs predict alike: `file`, `label`, and by run its prediction.

    Those come first that the first run predicts wrongly and others rightly, those last that no run predicts rightly; of
    alike ones those with the largest distance of two losses.
    """
    outputs, count = paired.outputs, len(paired.outputs[0])
    predictions = [output.predictions.reshape(count, -1) for output in outputs]
    differ = np.flatnonzero(np.any([(each != predictions[0]).any(axis=1) for each in predictions], axis=0))
    rights = np.stack(
        [(each == o.label_ids.reshape(count, -1)).all(1) for each, o in zip(predictions, outputs, strict=True)]
    )
    losses = np.stack([losses_of_sets(o) if isinstance(o, ScoredSets) else -o.log_likelihoods for o in outputs])
    spread = np.nan_to_num(losses.max(axis=0) - losses.min(axis=0), nan=np.inf)
    order = sorted(differ, key=lambda i: (not rights[:, i].any(), rights[:, i].tolist(), -spread[i], i))
    texts = [_texts(rows) for rows in paired.rows]
    found = []
    for i in map(int, order):
        by_run = [
            {
                "prediction": texts[place][1][i],
                "right": bool(rights[place, i]),
                "score": None if isinstance(output, ScoredSets) else _rounded(np.exp(output.top_log_probabilities[i])),
                "loss": _rounded(losses[place, i]),
            }
            for place, output in enumerate(outputs)
        ]
        named = zip((run.name for run in runs), by_run, strict=True)
        found.append({"file": image_name(paired.rows[0], i), "label": texts[0][0][i], "runs": dict(named)})
    return found


def _rounded(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def _texts(rows) -> tuple[list[str], list[str | None]]:
    """Labels and predictions of a run's rows, several of an image as one text."""
    first, second = (rows.column(place).to_pylist() for place in (3, 4))
    if "labels" not in rows.column_names:
        return first, second
    return tuple([", ".join(names) or NO_LABEL for names in each] for each in (first, second))
