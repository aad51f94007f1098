"""The map of a report: the scored images by the two principal components of their features."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hf_imgcls.reports.html.markup import Markup, tag
from hf_imgcls.reports.html.point_map import MOST_GROUPS, Points, point_map
from hf_imgcls.reports.report.rows import image_name
from hf_imgcls.scoring import Scored, ScoredSets
from hf_imgcls.words import percent, plural

_NO_MAP = (
    "No map: the scoring pass did not see this network's features, as of one that is compiled or spread over devices, "
    "or that has no single feature of an image."
)


def principal_components(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places of images on the two directions in which their features vary most, and the fractions of the variance.

    Args:
        features: shape (images, width).

    Returns:
        Shapes (images, 2) and (2,); a component that there is not, as of equal features, is 0. Of each component the
        sign is such that the largest value is positive.
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    wide = centred.shape[1] > len(centred)
    # The smaller of the two: both have the same eigenvalues.
    values, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1][:, :2]
    places = vectors * np.sqrt(values[: vectors.shape[1]]) if wide else centred @ vectors
    largest = np.take_along_axis(places, np.abs(places).argmax(axis=0)[None], axis=0)
    found = np.zeros((len(centred), 2))
    found[:, : places.shape[1]] = places * np.where(largest < 0, -1, 1)
    shares = np.zeros(2)
    shares[: len(values)] = values[:2] / (values.sum() or 1)
    return found, shares


def map_content(output: Scored | ScoredSets) -> dict[str, Any] | None:
    """Of report.json: rows of the split, their places, and what the two components have of the variance."""
    if output.features is None or not len(output.features[0]):
        return None
    rows, features = output.features
    places, shares = principal_components(features)
    x, y = ([float(f"{value:.4g}") for value in column] for column in places.T)
    return {
        "images": len(rows),
        "of": len(output),
        "variance": [round(float(share), 4) for share in shares],
        "rows": rows.tolist(),
        "x": x,
        "y": y,
    }


def map_section(content: Mapping[str, Any] | None, output, rows, names: Sequence[str], split: str) -> list[Markup]:
    """The map and what it shows, in words.

    Args:
        content: of `map_content`.
        output, rows: the scored split and its images.
        names: of the classes.
    """
    if content is None:
        return [tag("p", _NO_MAP, class_="note")]
    chosen = np.array(content["rows"])
    labels, predictions, names = _texts(output, names)
    labels, predictions = labels[chosen], predictions[chosen]
    wrong = _wrong(output)[chosen]
    shown = shown_groups(labels, wrong)
    words = [
        f"{image_name(rows, int(chosen[i])) or f'image {chosen[i]}'}: labelled {names[labels[i]]}, predicted "
        f"{names[predictions[i]]}"
        for i in np.flatnonzero(wrong)
    ]
    groups = np.full(len(labels), -1)
    for number, label in enumerate(shown):
        groups[labels == label] = number
    left = len(np.unique(labels)) - len(shown)
    points = Points(
        np.array([content["x"], content["y"]]).T,
        groups,
        [f"{names[label]} {_counted(labels == label, wrong)}" for label in shown],
        f"{plural(left, 'other class')} {_counted(groups < 0, wrong)}" if left else "",
        wrong,
        words,
    )
    shares = [percent(share) for share in content["variance"]]
    axes = tuple(
        f"{which} component, {share} of the variance" for which, share in zip(("first", "second"), shares, strict=True)
    )
    legend = "; ".join([*points.names, *([points.others] if left else [])])
    told = (
        f"Map of {plural(len(chosen), f'{split} image')} by the first two principal components of their features, "
        f"{shares[0]} and {shares[1]} of the variance: {legend}."
    )
    return [
        point_map(f"Map of {split}", points, axes, told),
        tag("p", *_about(content, left, bool(wrong.any())), class_="note"),
    ]


def shown_groups(labels: np.ndarray, wrong: np.ndarray) -> list[int]:
    """The labels with a colour of their own: all where they are few, else those with the most wrong images.

    Args:
        labels, wrong: shape (images,).
    """
    present, images = np.unique(labels, return_counts=True)
    if len(present) <= MOST_GROUPS:
        return present.tolist()
    errors = np.array([np.sum(wrong & (labels == label)) for label in present])
    return np.sort(present[np.lexsort((present, -images, -errors))[:MOST_GROUPS]]).tolist()


def _texts(output, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Label and prediction of each image as numbers of texts; of several labels an image has all of them."""
    if not isinstance(output, ScoredSets):
        predictions = np.where(output.predictions < 0, len(names), output.predictions)
        return output.label_ids, predictions, [*names, "nothing"]
    several, none = len(names), len(names) + 1

    def number(sets: np.ndarray) -> np.ndarray:
        counts = sets.sum(axis=1)
        return np.where(counts == 1, sets.argmax(axis=1), np.where(counts == 0, none, several))

    return number(output.label_ids), number(output.predictions), [*names, "several labels", "no label"]


def _wrong(output) -> np.ndarray:
    differs = output.predictions != output.label_ids
    return differs.any(axis=1) if isinstance(output, ScoredSets) else differs


def _counted(chosen: np.ndarray, wrong: np.ndarray) -> str:
    errors = int((chosen & wrong).sum())
    return f"({plural(int(chosen.sum()), 'image')}{f', {errors:,} wrong' if errors else ''})"


def _about(content: Mapping[str, Any], left: int, wrong: bool) -> list[str]:
    parts = []
    if content["images"] < content["of"]:
        parts.append(f"{content['images']:,} of {content['of']:,} images, drawn at random. ")
    parts.append(
        "Each point is an image, by what goes into the classifier; the two directions are those in which that varies "
        "most (principal component analysis). Images that lie together look alike to the network; what the other "
        "directions tell apart may lie together too. "
    )
    if left:
        parts.append(f"Coloured are the classes with the most {'errors' if wrong else 'images'}. ")
    return [*parts, "A ring names its image under the pointer."] if wrong else parts
