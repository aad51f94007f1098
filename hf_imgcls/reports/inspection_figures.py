"""The plots of an inspection, from the thumbnails of its images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hf_imgcls.data import Inspected
from hf_imgcls.reports.plots.drawing import import_plots, save

_SHEET, _OF_CLASS = 20, 8  # classes of a contact sheet, images of each
_PAIRS = 40  # pairs that are drawn


def draw_inspection(place: Path, report: Mapping[str, Any], seen: Inspected) -> None:
    """classes.png, a contact sheet of every 20 classes, and the pairs of images that are the same or nearly so."""
    classes, sheets = import_plots("classes"), import_plots("gallery")
    names = report["classes"]
    counts = {role: np.array(list(split["per_class"].values())) for role, split in report["splits"].items()}
    save(classes.class_counts(counts, names), place, "classes.png")
    role = "train"
    labels = np.array(seen.data.splits[role]["label"][:])
    present = [i for i in range(len(names)) if (labels == i).any()]
    for number, first in enumerate(range(0, len(present), _SHEET), 1):
        some = present[first : first + _SHEET]
        rows = [np.flatnonzero(labels == i) for i in some]
        chosen = [
            rows_of[np.linspace(0, len(rows_of) - 1, min(_OF_CLASS, len(rows_of))).astype(int)] for rows_of in rows
        ]
        images = [[_thumbnail(seen, role, i) for i in line] for line in chosen]
        titles = [f"{names[i]} ({len(of):,})" for i, of in zip(some, rows, strict=True)]
        save(sheets.contact_sheet(images, titles), place, f"images_{number}.png")
    _draw_findings(place, report, seen, sheets)


def _draw_findings(place: Path, report: Mapping[str, Any], seen: Inspected, sheets) -> None:
    """A gallery of each kind of finding about images that can be read."""
    where = {(role, name): i for role, names in seen.data.files.items() for i, name in enumerate(names)}
    by_kind: dict[str, list] = {"suspects": report.get("suspects", [])}
    for finding in report["findings"]:
        by_kind.setdefault(finding["kind"], []).extend(finding["files"])
    for kind, files in by_kind.items():
        images, texts = [], []
        for each in files:
            for prefix in ("", "other_"):
                split, file = each.get(f"{prefix}split"), each.get(f"{prefix}file")
                if (split, file) in where and len(images) < _PAIRS:
                    images.append(_thumbnail(seen, split, where[split, file]))
                    suggested = f"\n{each['suggested']}?" if "suggested" in each else ""
                    texts.append(f"{split}: {each[f'{prefix}label']}{suggested}\n{Path(file).name}")
        if images:
            save(sheets.captioned(images, texts), place, f"{kind}.png")


def _thumbnail(seen: Inspected, role: str, row: int) -> np.ndarray:
    """The thumbnail of an image in the image's own proportions."""
    looks = seen.looks[role]
    width, height = looks.sizes[row]
    pixels = looks.thumbnails[row]
    side = len(pixels)
    shape = (max(1, round(side * min(1, height / width))), max(1, round(side * min(1, width / height))))
    return np.asarray(Image.fromarray(pixels).resize(shape[::-1]))
