"""An average of models: the table of the console, and the same in the card."""

from collections.abc import Mapping
from typing import Any

from hf_imgcls.scoring import METRICS, main_metric
from hf_imgcls.words import listed, number, plain, plural, table, without_paths

_LONGEST = 60  # characters of a name


def average_table(average: Mapping[str, Any], scores: Mapping[str, Mapping]) -> list[str]:
    """A line for each model with its weight and scores, one for the average, and how they compare on validation."""
    heading, rows = _rows(average, scores)
    rows = [[row[0] if len(row[0]) <= _LONGEST else f"…{row[0][1 - _LONGEST :]}", *row[1:]] for row in rows]
    width = max(len(row[0]) for row in [heading, *rows])
    widths = [len(name) + 3 for name in heading[1:]]
    lines = [
        f"{name:{width}}" + "".join(f"{cell:>{wide}}" for cell, wide in zip(cells, widths, strict=True))
        for name, *cells in [heading, *rows]
    ]
    return [*lines, describe_average(average, scores)]


def describe_average(average: Mapping[str, Any], scores: Mapping[str, Mapping]) -> str:
    """How the average compares with the best of its models, on the split that may choose."""
    metric, best = average["metric"], best_model(average)
    kind, alone, value = METRICS[metric], best["scores"]["validation"][metric], scores["validation"][metric]
    used = [each for each in average["models"] if each["weight"]]
    if len(used) == 1:
        return f"average: no other model makes {used[0]['model']} better on validation; it is the result, alone"
    change = (value - alone) * (1 if kind.greater_is_better else -1)
    verdict = "better than" if change > 0 else "worse than" if change < 0 else "the same as"
    advice = "; --greedy leaves out what makes it worse" if change < 0 and average["method"] == "plain" else ""
    return (
        f"average: {plural(len(used), 'model')}, validation {kind.name} {value:{kind.format}}, {verdict} the best of "
        f"them alone ({best['model']}, {alone:{kind.format}}){_renewed(average)}{advice}"
    )


def _renewed(average: Mapping[str, Any]) -> str:
    count = average["recomputed_normalizations"]
    return f"; statistics of {plural(count, 'batch normalization')} computed anew on images of train" if count else ""


def best_model(average: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of the models, the one with the best validation score."""
    metric = average["metric"]
    sign = 1 if METRICS[metric].greater_is_better else -1
    return max(average["models"], key=lambda each: sign * each["scores"]["validation"][metric])


def average_section(average: Mapping[str, Any], scores: Mapping[str, Mapping]) -> list[str]:
    """What a card says in place of stages and the command."""
    heading, rows = _rows(average, scores)
    how = {
        "plain": "The mean of the weights of these models",
        "greedy": "The mean of the weights of these models, of which each was added, the best first, where validation "
        "did not get worse with it",
    }[average["method"]]
    shown = [[plain(without_paths(row[0])), *row[1:]] for row in rows]
    return [f"{how} (arXiv:2203.05482){_renewed(average)}.", table(heading, shown, ["model"])]


def _rows(average: Mapping[str, Any], scores: Mapping[str, Mapping]) -> tuple[list[str], list[list[str]]]:
    shown = dict.fromkeys([average["metric"], main_metric(next(iter(scores.values()))), "loss"])
    columns = [(split, metric) for split in scores for metric in shown]
    heading = ["model", "weight", *(f"{split} {METRICS[metric].name}" for split, metric in columns)]
    used = [each for each in average["models"] if each["weight"]]
    rows = [
        [each["model"], f"{each['weight']:.4f}" if each["weight"] else "-", *_cells(each["scores"], columns)]
        for each in average["models"]
    ]
    names = f"average of {len(used)}" if len(used) > 1 else f"result: {listed([each['model'] for each in used])}"
    return heading, [*rows, [names, "", *_cells(scores, columns)]]


def _cells(scores: Mapping[str, Mapping], columns: list[tuple[str, str]]) -> list[str]:
    return [number(scores[split].get(metric)) if split in scores else "-" for split, metric in columns]
