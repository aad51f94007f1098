"""The page of a comparison: scores, differences, recipes, and a gallery of the images that are predicted otherwise."""

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hf_imgcls.reports.comparison.lines import (
    describe_changes,
    describe_correction,
    recipe_rows,
    score_table,
)
from hf_imgcls.reports.html.markup import Markup, join, page, table, tag
from hf_imgcls.reports.html.thumbnails import data_uri, gallery, picture
from hf_imgcls.reports.report.style import STYLE
from hf_imgcls.words import listed, plural

_OF_A_GROUP, _GROUPS = 24, 8  # images that are shown of a group, and groups


def comparison_page(content: Mapping[str, Any], images: Mapping[str, dict]) -> str:
    """One document: nothing is loaded from elsewhere.

    Args:
        images: those that are not predicted alike, by name; {} where they are not at hand.
    """
    names = [run["run"] for run in content["runs"]]
    title = f"Comparison of {' and '.join(names) if len(names) < 3 else listed(names, 4)}"
    sections = {
        "Scores": _scores(content),
        "Differences": _differences(content),
        "Recipes": _recipes(content["recipes"]),
        "Images": _images(content, images),
    }
    links = [tag("li", tag("a", name, href=f"#{name.lower()}")) for name in sections]
    body = [
        tag("a", "Skip to the scores", href="#scores", class_="skip"),
        tag("header", tag("h1", title), _headline(content)),
        tag("nav", tag("ul", links), aria_label="Sections"),
        tag("main", [tag("section", tag("h2", name), parts, id=name.lower()) for name, parts in sections.items()]),
    ]
    return page(title, body, STYLE)


def _headline(content: Mapping[str, Any]) -> list[Markup]:
    of = f"{plural(content['images'], 'image')} of {content['split']}, scored by all of them. "
    firsts = [
        f"{each['run']} against {each['with']}: {describe_changes(each, content)[0]}."
        for each in content["comparisons"]
    ]
    parts = [tag("p", of, line) if not number else tag("p", line) for number, line in enumerate(firsts)]
    cautions = [(run["run"], each) for run in content["runs"] for each in run["cautions"]]
    parts += [tag("p", each, class_="caution") for each in content["notes"]]
    return [*parts, *(tag("p", f"{name}: {each}", class_="caution") for name, each in cautions)]


def _scores(content: Mapping[str, Any]) -> list[Markup]:
    heading, rows = score_table(content)
    return [table(heading, rows, f"Scores of {content['split']}")]


def _differences(content: Mapping[str, Any]) -> list[Markup]:
    parts = []
    for each in content["comparisons"]:
        parts.append(tag("h3", f"{each['run']} against {each['with']}"))
        total = content["images"] if each["of"] == "images" else None
        parts += [] if total is None else [_contingency(each, total)]
        parts.append(tag("ul", [tag("li", line) for line in describe_changes(each, content)]))
    about = (
        "Both sides are the same images, so they are compared image by image: the accuracies by McNemar's exact test "
        "and the interval of paired proportions (Agresti and Min, 2005), the loss by the mean of its differences, F1 "
        "by a bootstrap that draws the same images for both."
    )
    correction = describe_correction(content)
    return [*parts, *([tag("p", f"{correction}.")] if correction else []), tag("p", about, class_="note")]


def _contingency(each: Mapping[str, Any], total: int) -> Markup:
    neither = total - each["both_right"] - each["to_right"] - each["to_wrong"]
    rows = [
        [f"{each['with']} right", f"{each['both_right']:,}", f"{each['to_wrong']:,}"],
        [f"{each['with']} wrong", f"{each['to_right']:,}", f"{neither:,}"],
    ]
    return table(["", f"{each['run']} right", f"{each['run']} wrong"], rows, "Images by which run is right")


def _recipes(recipes: Mapping[str, Mapping[str, Any]]) -> list[Markup]:
    rows = [
        [_breaking(key), *(value.removeprefix(f"{run} ") for run, value in zip(recipes, values, strict=True))]
        for key, values in recipe_rows(recipes)
    ]
    if not rows:
        return [tag("p", "They do not differ.")]
    return [table(["key", *recipes], rows, "Keys that differ", words=range(len(recipes) + 1))]


def _breaking(key: str) -> Markup:
    """A key that takes a new line behind a dot."""
    return join([part, Markup("<wbr/>")] for part in re.findall(r"[^.]*\.?", key))


def _images(content: Mapping[str, Any], images: Mapping[str, dict]) -> list[Markup]:
    differing = content["differing"]
    if not differing:
        return [tag("p", "All images are predicted alike.")]
    grouped = [(key, list(of)) for key, of in itertools.groupby(differing, key=_who_is_right)]
    parts = [tag("p", f"{plural(len(differing), 'image')} not predicted alike.")]
    if not images:
        parts.append(tag("p", "None is shown: the data are not at hand.", class_="note"))
    for right, some in grouped[:_GROUPS]:
        title = f"Right in {listed(right)} alone" if right else "Wrong in all, but not alike"
        shown = [_show(each, images) for each in some[:_OF_A_GROUP]]
        count = plural(len(some), "image") + (f", the first {_OF_A_GROUP}" if len(some) > _OF_A_GROUP else "")
        parts += [tag("h3", title, tag("span", f": {count}", class_="plain")), gallery(shown)]
    if len(grouped) > _GROUPS:
        parts.append(tag("p", f"{len(grouped) - _GROUPS} more groups are in comparison.json.", class_="note"))
    return parts


def _who_is_right(each: Mapping[str, Any]) -> Sequence[str]:
    return [name for name, own in each["runs"].items() if own["right"]]


def _show(each: Mapping[str, Any], images: Mapping[str, dict]) -> Markup:
    lines, words = [tag("span", "label: ", tag("b", each["label"]))], []
    for name, own in each["runs"].items():
        score = "" if own["score"] is None else f" {own['score']:.3f}"
        given = f"{own['prediction'] or 'no prediction'}{score}"
        mark = tag("span", "✓" if own["right"] else "✗", class_="right" if own["right"] else "wrong")
        lines.append(tag("span", mark, f" {name}: ", tag("b", given)))
        words.append(f"{name} predicts {given}, {'right' if own['right'] else 'wrong'}")
    told = f"{each['file']}: labelled {each['label']}; {'; '.join(words)}"
    lines.append(tag("span", each["file"], class_="file"))
    if not images:
        return tag("figure", tag("figcaption", [tag("div", line) for line in lines]))
    return picture(data_uri(images[each["file"]]) if each["file"] in images else None, told, *lines)
