"""Where the model looks: maps of the worst mistakes and of the least certain images of a scored split."""

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import numpy as np
from PIL import Image

from hf_imgcls.errors import ReadError, UserError
from hf_imgcls.images import UNREADABLE, Placer, in_memory, input_size, process_image, read_image
from hf_imgcls.reports.html.markup import Markup, tag
from hf_imgcls.reports.html.thumbnails import as_uri, reduced
from hf_imgcls.reports.plots.drawing import import_plots
from hf_imgcls.reports.report.content import Subject
from hf_imgcls.scoring import Scored, ScoredSets
from hf_imgcls.serving import MapMaker
from hf_imgcls.words import plural

_WORST, _UNCERTAIN, _LABELS = 8, 4, 2  # images of each kind, maps of an image
_SECONDS = 10  # after which no other image is begun: a large network on a CPU

_ABOUT = (
    "What in an image speaks for a label. Yellow: most in that image, dark blue: nothing, pale: not seen by the "
    "network. First the prediction; of a mistake, then the image's label."
)


def looks_section(split: Mapping[str, Any], main: str, subject: Subject) -> list[Markup]:
    """Maps of a bounded number of images, or a line that says why there are none; nothing without a network."""
    rows, chosen = subject.splits.get(main), [*split["worst_mistakes"][:_WORST], *split["least_certain"][:_UNCERTAIN]]
    if subject.opened is None or not isinstance(rows, datasets.Dataset) or not chosen:
        return []
    chosen = list({each["place"]: each for each in chosen}.values())
    try:
        figures = _figures(chosen, rows, subject.outputs[main], subject)
    except UserError as error:  # of a network or a machine that cannot make them: the report goes on without
        return [tag("p", f"No maps: {error}.", class_="note")]
    parts = [tag("p", _ABOUT, class_="note"), tag("div", figures, class_="looks")]
    if len(figures) < len(chosen):
        why = f"the others cannot be read any more, or {_SECONDS} s were over"
        text = f"Maps of {len(figures)} of {plural(len(chosen), 'image')}: {why}."
        parts.append(tag("p", text, class_="note"))
    return parts


def _figures(chosen: Sequence[Mapping], rows, output: Scored | ScoredSets, subject: Subject) -> list[Markup]:
    network, processor = subject.opened()
    made, maker, placer = [], MapMaker(network, input_size(processor)), Placer(processor)
    end = time.monotonic() + _SECONDS
    names = list(subject.results["labels"])
    for each in chosen:
        if made and time.monotonic() > end:
            break
        try:
            with warnings.catch_warnings(action="ignore", category=UserWarning):
                image = read_image(in_memory(rows["image"][each["place"]]))
        except (*UNREADABLE, ReadError):  # gone while the run went on
            continue
        labels, small = labels_to_explain(output, each["place"]), reduced(image)
        shown = []
        for values, (label, score) in zip(
            maker(process_image(processor, image), list(labels)), labels.items(), strict=True
        ):
            placed = placer(image.size).place(values, small.size)
            words = f"{score:.3f}" + ("" if values.any() else ": no part stands out")
            shown.append((names[label], words, import_plots("overlays").overlay(np.asarray(small), placed)))
        made.append(_figure(each, small, shown))
    return made


def labels_to_explain(output: Scored | ScoredSets, place: int) -> dict[int, float]:
    """Class ids with their scores: the prediction and, of a mistake, the label; of several the wrong ones first."""
    if isinstance(output, Scored):
        found = {int(output.predictions[place]): float(np.exp(output.top_log_probabilities[place]))}
        found.setdefault(int(output.label_ids[place]), float(np.exp(output.log_likelihoods[place])))
        return found
    predicted, has, scores = (each[place] for each in (output.predictions, output.label_ids, output.probabilities))
    order = np.lexsort((-scores, ~predicted, predicted == has))
    meant = [int(i) for i in order if predicted[i] or has[i]] or [int(scores.argmax())]
    return {i: float(scores[i]) for i in meant[:_LABELS]}


def _figure(each: Mapping[str, Any], image: Image.Image, maps: Sequence[tuple[str, str, np.ndarray]]) -> Markup:
    """The image, and beside it the map of each label under its name and what is said of it."""
    name = each["file"] or f"image {each['place']}"
    shown = [tag("div", tag("img", src=as_uri(image), alt=name))]
    for label, words, over in maps:
        picture = tag("img", src=as_uri(Image.fromarray(over)), alt=f"{name}: map of what speaks for {label} {words}")
        shown.append(tag("div", picture, tag("span", "for ", tag("b", label), f" {words}")))
    about = ["label: ", tag("b", each["label"]), ", predicted: ", tag("b", each["prediction"])]
    lines = [tag("div", about), tag("div", name, class_="file")]
    return tag("figure", tag("div", shown, class_="row"), tag("figcaption", lines))
