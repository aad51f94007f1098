"""The table of classes of a report: every class, or those with the lowest recall and all of them to unfold."""

from collections.abc import Mapping, Sequence
from typing import Any

from hf_imgcls.reports.html.markup import Markup, table, tag
from hf_imgcls.scoring import weakest_classes
from hf_imgcls.words import number

_FEW, _WEAKEST, _TABLED = 30, 20, 2000


def classes_section(classes: Mapping[str, Mapping[str, Any]], split: str) -> list[Markup]:
    of_sets = any("threshold" in each for each in classes.values())
    note = tag(
        "p",
        "Recall: the fraction of a class's images that are predicted as it. Precision: the fraction of the predictions "
        "of a class that are right. In brackets: 95 % intervals."
        + (" A label is predicted where its score reaches its threshold." if of_sets else ""),
        class_="note",
    )
    if len(classes) <= _FEW:
        return [_table(classes, list(classes), f"Classes of {split}"), note]
    weakest = weakest_classes(classes)[:_WEAKEST]
    parts = [
        _table(classes, weakest, f"The {len(weakest)} of {len(classes):,} classes with the lowest recall, {split}")
    ]
    if len(classes) <= _TABLED:
        whole = _table(classes, list(classes), f"Classes of {split}")
        parts.append(tag("details", tag("summary", f"All {len(classes):,} classes"), whole))
    else:
        parts.append(tag("p", "All of them are in report.json."))
    return [*parts, note]


def _table(classes: Mapping[str, Mapping], names: Sequence[str], caption: str) -> Markup:
    if any("threshold" in classes[name] for name in names):
        return _table_of_labels(classes, names, caption)
    rows = []
    for name in names:
        each = classes[name]
        other = next((f"{n} ({count:,})" for n, count in each["predicted"].items() if n != name), "-")
        cells = [_cell(each[key], each.get(f"{key}_interval_95")) for key in ("recall", "precision", "f1")]
        rows.append([name, other, f"{each['images']:,}", *cells])
    return table(
        ["class", "most often predicted as", "images", "recall", "precision", "F1"],
        rows,
        caption,
        words=(0, 1, 3, 4, 5),
    )


def _table_of_labels(classes: Mapping[str, Mapping], names: Sequence[str], caption: str) -> Markup:
    keys = {"average_precision": "average precision", "recall": "recall", "precision": "precision", "f1": "F1"}
    rows = []
    for name in names:
        each = classes[name]
        cells = [_cell(each[key], each.get(f"{key}_interval_95")) for key in keys]
        rows.append([name, f"{each['images']:,}", f"{each['threshold']:.3f}", *cells])
    return table(["label", "images", "threshold", *keys.values()], rows, caption, words=(0, 3, 4, 5, 6))


def _cell(value: float | None, ends: Sequence[float] | None) -> Markup:
    """A number over a bar of its length."""
    interval = tag("small", f" ({ends[0]:.2f}–{ends[1]:.2f})") if ends else None
    bar = tag("span", class_="bar", style=f"width:{100 * (value or 0):.0f}%")
    return tag("span", number(value, digits=3), interval, bar, class_="cell")
