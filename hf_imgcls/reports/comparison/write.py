"""The files of a comparison: JSON, a table of the images that are predicted otherwise, a page, or a folder of these."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_imgcls.reports.comparison.page import comparison_page
from hf_imgcls.store import write_csv, write_json, write_text


def save_comparison(place: Path, content: Mapping[str, Any], images: Mapping[str, dict]) -> None:
    """A .json, .csv or .html file, or a folder with comparison.json, differing.csv and comparison.html.

    Args:
        images: those that are not predicted alike, by name; {} where they are not at hand.
    """
    if place.suffix == ".json":
        return write_json(place, content)
    if place.suffix == ".csv":
        return _write_table(place, content)
    if place.suffix == ".html":
        return write_text(place, comparison_page(content, images))
    place.mkdir(exist_ok=True)
    write_text(place / "comparison.html", comparison_page(content, images))
    _write_table(place / "differing.csv", content)
    write_json(place / "comparison.json", content)


def _write_table(file: Path, content: Mapping[str, Any]) -> None:
    """A row for each image; of each run prediction, score, loss and whether it is right."""
    names, parts = [run["run"] for run in content["runs"]], ("prediction", "score", "loss", "right")
    heading = ["file", "label", *(f"{name} {part}" for name in names for part in parts)]
    rows = [
        [each["file"], each["label"], *(each["runs"][name][part] for name in names for part in parts)]
        for each in content["differing"]
    ]
    write_csv(file, heading, rows)
