"""A comparison in words: lines for the console, of which the page takes some."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_imgcls.scoring import METRICS, main_metric, metrics_in
from hf_imgcls.words import columns, duration, number, plural, without_paths

_SHOWN, _KEYS, _LONG = 10, 12, 40  # images and keys of recipes on the console, characters of a value


def describe_comparison(content: Mapping[str, Any], all_in: Path | None = None) -> list[str]:
    """The scores as a table, what is to be read with them, the recipes' differences, tests, and the first images.

    Args:
        all_in: where all images on which they differ are written to.
    """
    lines = [f"{plural(content['images'], 'image')} of {content['split']}, scored by all of them"]
    lines += _aligned(*score_table(content))
    lines += [f"note: {each}" for each in content["notes"]]
    lines += [f"{run['run']}: {caution}" for run in content["runs"] for caution in run["cautions"]]
    keys = recipe_rows(content["recipes"])
    lines += [f"recipes: {key}: {'; '.join(values)}" for key, values in keys[:_KEYS]]
    lines += [f"recipes: and {plural(len(keys) - _KEYS, 'key')} more"] if len(keys) > _KEYS else []
    lines += [] if keys else ["recipes: they do not differ"]
    for each in content["comparisons"]:
        lines += [f"{each['run']} against {each['with']}: {line}" for line in describe_changes(each, content)]
    lines += [correction] if (correction := describe_correction(content)) else []
    return [*lines, *_images(content, all_in)]


def score_table(content: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Heading and rows."""
    runs = content["runs"]
    main = main_metric(runs[0]["scores"])
    shown = {key: metric for run in runs for key, metric in metrics_in(run["scores"]).items()}
    names = [f"{m.name} (95 % interval)" if key == main else m.name for key, m in shown.items()]
    rows = []
    for run in runs:
        scores = run["scores"]
        cells = [number(scores.get(key), scores[f"{main}_interval_95"] if key == main else None) for key in shown]
        seconds = "-" if run["seconds"] is None else duration(run["seconds"])
        parameters = "-" if run["parameters"] is None else f"{run['parameters']:,}"
        rows.append([run["run"], *cells, seconds, parameters])
    return ["run", *names, "time of the run", "parameters"], rows


def recipe_rows(recipes: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Each key that differs, and `run value` of every run."""
    keys = sorted({key for each in recipes.values() for key in each})
    return [(key, [f"{run} {_value(own, key)}" for run, own in recipes.items()]) for key in keys]


def _value(recipe: Mapping[str, Any], key: str) -> str:
    if key not in recipe:
        return "not set"
    value = without_paths(recipe[key])
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"


def describe_changes(each: Mapping[str, Any], content: Mapping[str, Any]) -> list[str]:
    """Of one run against the first: the main metric with its test, the images behind it, the other metrics."""
    scores = content["runs"][0]["scores"]
    main = main_metric(scores)
    lines = []
    for key in sorted((key for key in METRICS if key in each), key=lambda key: key != main):
        line = f"{METRICS[key].name} {_change(each[key])}"
        if key == "accuracy":
            line += f"; McNemar's exact test: {p_value(each['p_value'])}"
            if len(content["comparisons"]) > 1:
                line += f", {p_value(each['p_corrected'])} corrected for {len(content['comparisons'])} comparisons"
        unclear = is_known(each[key]) and not is_shown(each, key)
        lines.append(f"{line}{'; no difference is shown' if unclear else ''}")
    unit = each["of"].removesuffix("s")
    counts = (
        f"{plural(each['to_right'], unit)} right in {each['run']} alone, {each['to_wrong']:,} in {each['with']} alone, "
        f"{each['both_right']:,} in both; {plural(each['changed'], 'image')} predicted otherwise"
    )
    return [lines[0], counts, *lines[1:]]


def is_shown(each: Mapping[str, Any], key: str) -> bool:
    """Whether a difference is shown: of accuracy by the corrected test at 5 %, else by its interval."""
    if key == "accuracy":
        return each["p_corrected"] < 0.05
    ends = each[key]["interval_95"]
    return bool(ends) and (ends[0] > 0 or ends[1] < 0)


def is_known(found: Mapping[str, Any]) -> bool:
    return found["change"] == found["change"]


def _change(found: Mapping[str, Any]) -> str:
    if not is_known(found):
        return "cannot be compared: an image has no scores"
    ends = found["interval_95"]
    interval = f" (95 % interval, paired: {ends[0]:+.4f} to {ends[1]:+.4f})" if ends else ""
    return f"{found['change']:+.4f}{interval}"


def p_value(value: float) -> str:
    return "p < 0.0001" if value < 1e-4 else f"p = {value:.2g}" if value < 0.995 else "p = 1"


def describe_correction(content: Mapping[str, Any]) -> str | None:
    """What was done about several comparisons; None of one."""
    count = len(content["comparisons"])
    if count == 1:
        return None
    by = "p-values are corrected after Holm; each " if "p_value" in content["comparisons"][0] else "each "
    return f"{count} comparisons with {content['runs'][0]['run']}: {by}interval is 95 % by itself"


def _images(content: Mapping[str, Any], all_in: Path | None) -> list[str]:
    differing = content["differing"]
    if not differing:
        return ["all images are predicted alike"]
    lines = [f"{plural(len(differing), 'image')} not predicted alike:"]
    for each in differing[:_SHOWN]:
        given = "; ".join(f"{name} {_predicted(own)}" for name, own in each["runs"].items())
        lines.append(f"  {each['file']}: label {each['label']}; {given}")
    if len(differing) > _SHOWN:
        where = f"all of them are in {all_in}" if all_in else "--output FOLDER writes all of them, with a page"
        lines.append(f"  and {len(differing) - _SHOWN:,} more; {where}")
    return lines


def _predicted(own: Mapping[str, Any]) -> str:
    score = "" if own["score"] is None else f" {own['score']:.3f}"
    return f"{own['prediction'] or 'no prediction'}{score} {'✓' if own['right'] else '✗'}"


def _aligned(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    table = [heading, *rows]
    widths = [max(columns(row[place]) for row in table) for place in range(len(heading))]
    padded = [[cell + " " * (wide - columns(cell)) for cell, wide in zip(row, widths, strict=True)] for row in table]
    return ["  ".join(row).rstrip() for row in padded]
