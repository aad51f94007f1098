"""An inspection as what people read and programs: console lines, JSON, CSV, plots."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hf_imgcls.data import DECISION_COLUMNS, Finding, Inspected
from hf_imgcls.reports.inspection_figures import draw_inspection
from hf_imgcls.store import write_csv, write_json
from hf_imgcls.words import listed, one_line, plural

_NAMED = 3  # files of a finding in the console
_CLASSES, _SUSPECTS = 12, 10  # in the console
_COLUMNS = (
    "kind", "split", "file", "label", "other_split", "other_file", "other_label", "detail", "found", "advice",
)  # fmt: skip


class Suspect(NamedTuple):
    """An image whose label is probably wrong: file, split, label, the most probable class, and their probabilities."""

    file: str
    split: str
    label: str
    suggested: str
    probability: float
    probability_suggested: float


def collect_inspection(
    seen: Inspected, findings: Sequence[Finding], suspects: Sequence[Suspect] | None, section
) -> dict[str, Any]:
    """The content of inspection.json."""
    data = seen.data
    given = {"image": section.image_column, "label": section.label_column, "group": section.group_column}
    return {
        "data": section.path,
        "classes": data.labels,
        "columns": {key: name for key, name in given.items() if name},
        "splits": {
            role: {
                "images": len(rows),
                "fingerprint": data.fingerprints[role],
                "per_class": _per_class(rows["label"][:], data.labels),
                "sizes": _sizes(seen.looks[role].sizes),
                "modes": dict(Counter(seen.looks[role].modes).most_common()),
            }
            for role, rows in data.splits.items()
        },
        "notes": data.notes,
        "findings": [each._asdict() for each in findings],
        **({} if suspects is None else {"suspects": [each._asdict() for each in suspects]}),
    }


def _per_class(labels: Sequence[int], names: Sequence[str]) -> dict[str, int]:
    counts = Counter(labels)
    return {name: counts[i] for i, name in enumerate(names)}


def _sizes(sizes: np.ndarray) -> dict[str, Any]:
    """Smallest, median and largest image by pixels, and how many different sizes there are."""
    order = np.argsort(sizes.prod(1), kind="stable")
    chosen = {"smallest": order[0], "median": order[len(order) // 2], "largest": order[-1]}
    found = {name: [int(side) for side in sizes[i]] for name, i in chosen.items()}
    return {**found, "different": len(np.unique(sizes, axis=0))}


def describe_inspection(report: Mapping[str, Any]) -> list[str]:
    """The lines of the console: what there is, then what is wrong."""
    lines = []
    for role, split in report["splits"].items():
        sizes = split["sizes"]
        small, median, large = ("x".join(map(str, sizes[key])) for key in ("smallest", "median", "largest"))
        shown = f"all {small}" if sizes["different"] == 1 else f"{small} to {large} pixels, median {median}"
        modes = ", ".join(f"{mode} {count:,}" for mode, count in split["modes"].items())
        lines.append(f"{role}: {plural(split['images'], 'image')}; {shown}; {modes}")
        counts = sorted(split["per_class"].items(), key=lambda item: -item[1])
        lines.append(f"{role}: {plural(len(counts), 'class')}: {_counts(counts)}")
    lines += [f"data: {note}" for note in report["notes"]]
    for each in report["findings"]:
        count = f"{plural(each['images'], 'image')}, " if each["images"] else ""
        lines.append(f"{each['split']}: {count}{each['text']}: {_examples(each['files'])}")
        lines.append(f"  {each['kind']}: {each['advice']}")
    if suspects := report.get("suspects"):
        lines.append(f"labels: {plural(len(suspects), 'image')} predicted as another class, the least probable labels:")
        for each in suspects[:_SUSPECTS]:
            chances = f"{each['probability']:.4f}, {each['suggested']} {each['probability_suggested']:.4f}"
            lines.append(f"  {each['split']}: {each['file']}: {each['label']} {chances}")
    found = report["findings"]
    lines.append(f"inspect: {plural(len(found), 'finding')}" if found else "inspect: nothing wrong was found")
    return [one_line(line) if not line.startswith("  ") else f"  {one_line(line)}" for line in lines]


def _counts(counts: Sequence[tuple[str, int]]) -> str:
    shown = counts if len(counts) <= _CLASSES else [*counts[: _CLASSES - 3], *counts[-3:]]
    words = [f"{one_line(name, 40)} {count:,}" for name, count in shown]
    if len(counts) > _CLASSES:
        words.insert(_CLASSES - 3, f"... {len(counts) - _CLASSES:,} more ...")
    return ", ".join(words)


def _examples(files: Sequence[Mapping[str, str]]) -> str:
    words = []
    for each in files:
        if "other_file" in each:
            differ = each["label"] != each["other_label"]
            one, two = (f" ({each[key]})" if differ else "" for key in ("label", "other_label"))
            words.append(f"{each['file']}{one} = {each['other_file']}{two}")
        else:
            name = each.get("file", each["label"])
            words.append(f"{name} ({each['detail']})" if "detail" in each else name)
    return listed(words, _NAMED)


def save_inspection(place: Path, report: Mapping[str, Any], seen: Inspected) -> None:
    """A .json or .csv file, or a folder with both and with plots."""
    if place.suffix == ".json":
        return write_json(place, report)
    if place.suffix == ".csv":
        return _write_findings(place, report["findings"])
    place.mkdir(exist_ok=True)
    draw_inspection(place, report, seen)
    _write_findings(place / "findings.csv", report["findings"])
    if "suspects" in report:
        rows = [
            [*(each[key] for key in DECISION_COLUMNS[:4]), "", *list(each.values())[4:]] for each in report["suspects"]
        ]
        write_csv(place / "decisions.csv", [*DECISION_COLUMNS, "probability", "probability_suggested"], rows)
    write_json(place / "inspection.json", report)


def _write_findings(file: Path, findings: Sequence[Mapping[str, Any]]) -> None:
    rows = [
        [each.get(name, finding.get({"found": "text"}.get(name, name), "")) for name in _COLUMNS]
        for finding in findings
        for each in finding["files"]
    ]
    write_csv(file, _COLUMNS, rows)
