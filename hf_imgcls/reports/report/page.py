"""The page of a report: its sections from report.json, the images that it names, and the curves."""

from collections.abc import Mapping
from typing import Any

import datasets
import numpy as np

from hf_imgcls.reports.html.markup import Markup, page, table, tag
from hf_imgcls.reports.html.matrix import matrix
from hf_imgcls.reports.html.thumbnails import data_uri, gallery, picture
from hf_imgcls.reports.rejection import describe_rejection
from hf_imgcls.reports.report.calibration import calibration_section
from hf_imgcls.reports.report.classes import classes_section
from hf_imgcls.reports.report.content import Subject, main_of
from hf_imgcls.reports.report.curves import curves_section
from hf_imgcls.reports.report.image_map import map_section
from hf_imgcls.reports.report.looks import looks_section
from hf_imgcls.reports.report.scores import headline, scores_section
from hf_imgcls.reports.report.style import STYLE
from hf_imgcls.words import percent, plural

_SECTIONS = ("Scores", "Curves", "Classes", "Confusions", "Map", "Calibration", "Mistakes", "Explanations", "Data")


def report_page(content: Mapping[str, Any], subject: Subject) -> str:
    """One document: nothing is loaded from elsewhere."""
    main = main_of(content["splits"])
    images = _Images(subject.splits.get(main))
    made = {
        "Scores": [*scores_section(content), *_rejection(subject)] if main else [],
        "Curves": curves_section(subject.stages) if any(stage["history"] for stage in subject.stages) else [],
        "Classes": classes_section(content["splits"][main]["classes"], main) if main else [],
        "Confusions": _confusions(content, main, images) if main and "confused" in content["splits"][main] else [],
        "Map": _map(content, subject, main) if main else [],
        "Calibration": calibration_section(content, main) if main else [],
        "Mistakes": _mistakes(content["splits"][main], main, images) if main else [],
        "Explanations": looks_section(content["splits"][main], main, subject) if main else [],
        "Data": _data(content, subject),
    }
    shown = {name: made[name] for name in _SECTIONS if made[name]}
    links = [tag("li", tag("a", name, href=f"#{name.lower()}")) for name in shown]
    body = [
        tag("a", "Skip to the scores", href="#scores", class_="skip"),
        tag("header", tag("h1", content["title"]), headline(content, main)),
        tag("nav", tag("ul", links), aria_label="Sections"),
        tag("main", [tag("section", tag("h2", name), parts, id=name.lower()) for name, parts in shown.items()]),
    ]
    return page(f"{content['title']}: report", body, STYLE)


class _Images:
    """Small copies of a split's images, each made once."""

    def __init__(self, rows):
        self.rows = rows if isinstance(rows, datasets.Dataset) else None
        self._made: dict[int, str | None] = {}

    def show(self, each: Mapping[str, Any]) -> Markup:
        """One of the images that report.json describes."""
        place = each["place"]
        if self.rows is not None and place not in self._made:
            self._made[place] = data_uri(self.rows["image"][place])
        right = each["label"] == each["prediction"]
        name = each["file"] or f"image {place}"
        score, own = ("", f"loss {each['loss']:.3f}") if "loss" in each else (f" {each['score']:.3f}", None)
        if not right and own is None:
            own = f"score of its label {each['label_score']:.3f}"
        told = f"{name}: labelled {each['label']}, predicted {each['prediction']}{score}"
        mark = tag("span", "✓ right" if right else "✗ wrong", class_="right" if right else "wrong")
        label = tag("span", "label: ", tag("b", each["label"]))
        predicted = tag("span", "predicted: ", tag("b", each["prediction"]), score)
        lines = (mark, label, predicted, own, tag("span", name, class_="file"))
        return picture(self._made.get(place), told, *lines)


def _rejection(subject: Subject) -> list[Markup]:
    return [tag("p", line) for line in describe_rejection(subject.results.get("rejection"))]


def _confusions(content: Mapping[str, Any], main: str, images: _Images) -> list[Markup]:
    names, split = content["labels"], content["splits"][main]
    counts = np.zeros((len(names), len(names)), int)
    places = {name: i for i, name in enumerate(names)}
    for name, values in split["classes"].items():
        for predicted, count in values["predicted"].items():
            counts[places[name], places[predicted]] = count
    parts = [matrix(counts, names, main)]
    key = "Blue: right, orange: wrong; darker: a larger fraction of the true class."
    parts.append(tag("p", key, class_="note"))
    if not split["confused"]:
        return [*parts, tag("p", "No image was predicted wrongly.")]
    parts.append(tag("h3", "Most often confused"))
    pairs = []
    for pair in split["confused"]:
        text = f": {pair['images']:,} of {plural(pair['of'], 'image')} ({percent(pair['images'] / pair['of'])})"
        title = tag("h4", pair["label"], " → ", pair["prediction"], tag("span", text, class_="plain"))
        pairs.append(tag("div", title, gallery(map(images.show, pair["rows"]))))
    return [*parts, tag("div", pairs, class_="pairs")]


def _map(content: Mapping[str, Any], subject: Subject, main: str) -> list[Markup]:
    found = content["splits"][main]["map"]
    return map_section(found, subject.outputs[main], subject.splits.get(main), content["labels"], main)


def _mistakes(split: Mapping[str, Any], main: str, images: _Images) -> list[Markup]:
    parts = []
    of_one = "confused" in split
    worst = "lowest score of their label" if of_one else "highest loss"
    least = "The lowest scores of the predicted class" if of_one else "Scores next to the threshold of their label"
    for key, title, about in (
        ("worst_mistakes", "Worst mistakes", f"Predicted wrongly, with the {worst} first."),
        ("least_certain", "Least certain", f"{least}, right or wrong."),
    ):
        if split[key]:
            parts += [tag("h3", f"{title}, {main}"), tag("p", about, class_="note")]
            parts.append(gallery(map(images.show, split[key])))
    if images.rows is None:
        parts.append(tag("p", "The images of a stream are not kept, so none is shown.", class_="note"))
    return parts


def _data(content: Mapping[str, Any], subject: Subject) -> list[Markup]:
    results, parts = subject.results, []
    if counts := results.get("images"):
        rows = [[split, f"{count:,}"] for split, count in counts.items()]
        parts.append(table(["split", "images"], rows, "Images by split"))
    if content["duplicates"] is None:
        parts.append(tag("p", "Duplicates are not known: the images of a stream are not compared."))
    elif not content["duplicates"]:
        parts.append(tag("p", "No image is there twice with equal bytes, within or across splits."))
    else:
        rows = [
            [f"{d['split']}, also in {d['other']}", f"{d['images']:,}", f"{d['different_labels']:,}"]
            for d in content["duplicates"]
        ]
        parts.append(table(["equal bytes", "images", "with another label"], rows, "Duplicates"))
    notes = [*results.get("notes", ())]
    if notes:
        parts.append(tag("ul", [tag("li", note) for note in notes]))
    known = {
        key: results.get(key)
        for key in ("model", "data", "split", "command", "hardware", "seed")
        if results.get(key) is not None
    }
    parts.append(tag("dl", [[tag("dt", key), tag("dd", value)] for key, value in known.items()]))
    files = (
        "predictions.parquet has a row for each scored image, splits.parquet which image is in which split, "
        "report.json these numbers."
    )
    return [*parts, tag("p", files, class_="note")]
