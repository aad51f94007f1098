"""Explaining predictions: for each image a picture of what in it speaks for the labels that a model predicts."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from PIL import Image

from hf_imgcls import reports, serving
from hf_imgcls.api.seen import check_outside_trained
from hf_imgcls.errors import InputError, nearest
from hf_imgcls.images import Limits, Placer, input_size, process_image, why_unreadable
from hf_imgcls.machine import exact_float32, prepare_launch
from hf_imgcls.models import as_input_error, load_network
from hf_imgcls.scoring import NONE_OF_THESE
from hf_imgcls.store import try_place
from hf_imgcls.words import clean


class ExplainOptions(NamedTuple):
    """How to explain.

    Attributes:
        labels: those that are explained; if empty, those that are predicted.
        device: None for an accelerator, or else the CPU.
        trust_remote_code: whether code that comes with the model may be run.
        limits: images beyond them are not read.
    """

    labels: Sequence[str] = ()
    device: str | None = None
    trust_remote_code: bool = False
    limits: Limits = Limits()


_DEFAULTS = ExplainOptions()


def explain_images(
    model: str, images: Sequence[str], output: Path, options: ExplainOptions = _DEFAULTS
) -> Iterator[dict[str, Any]]:
    """Write a picture for each image, and give a row for it, in the order of `find_images`.

    The picture has the image and beside it, for each label, a map of what in it speaks for that label.

    Args:
        model: a folder or a Hub id, of any origin; no export.
        images: files, folders, patterns, URLs; `-` reads a list from standard input.
        output: a new or empty folder for the pictures.

    Returns:
        Rows as they come: `image`; `file`, its picture; `predicted`, the labels; `maps`, of each label its `score` and
        whether any part of the image stands out (`found`); `seen`, what the network sees of the image, as left, top,
        right and bottom in its pixels; `frame`, what the image processor does to its frame; `layers`, in which the maps
        are made; `error`, why an image was skipped, and None.

    Raises:
        InputError: grad-cam is not installed, the network has no layer for maps, or an argument is not as it must be.
    """
    serving.require_grad_cam()
    _check_output(output, images)
    check_outside_trained(output, model)
    prepare_launch()
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))
    if state.num_processes > 1:
        raise InputError("explain: it is the work of one process; start it without a launcher")
    names = list(dict.fromkeys(serving.find_images(images)))
    explainer = _Explainer(model, options, options.device or state.device)
    output.mkdir(parents=True, exist_ok=True)
    return explainer.explain_all(names, output)


def describe_row(row: dict[str, Any]) -> str:
    """A row in a line: `photos/1.jpg  bag 0.932  explanations/1.png`."""
    if row["error"] is not None:
        return f"{row['image']}: skipped: {row['error']}"
    labels = ", ".join(f"{each['label']} {each['score']:.3f}" for each in row["maps"])
    other = [each for each in row["predicted"] if each not in [each["label"] for each in row["maps"]]]
    predicted = f"predicted {', '.join(other)}; " if other else ""
    return "  ".join(filter(None, (row["image"], predicted + labels, row["file"], row["frame"])))


def _check_output(output: Path, images: Sequence[str]) -> None:
    """Refuse a folder that has something in it, or whose pictures would be read as images of the next training."""
    serving.check_target(output)
    inside = next((each for each in images if Path(each).is_dir() and _is_within(output, Path(each))), None)
    if inside:
        raise InputError(f"--output: {output} is in {inside}, so its pictures would be read as images of that folder; "
                         "name a folder outside of it")  # fmt: skip
    try_place(output, "--output")


def _is_within(folder: Path, other: Path) -> bool:
    return folder.expanduser().resolve().is_relative_to(other.resolve())


class _Explainer:
    """A model with what its maps need."""

    def __init__(self, model: str, options: ExplainOptions, device):
        if serving.is_exported(model):
            raise InputError(f"model {model!r}: an export has no gradients; name the model that it was made from")
        network, self.processor = load_network(model, dtype="auto", trust_remote_code=options.trust_remote_code)
        with as_input_error(f"--device {device}"):
            network.to(device)
        self.classifier = serving.as_classifier(
            model, network, self.processor, device, serving.open_rejection(model, network)
        )
        self.labels = self.classifier.labels
        self.asked, self.limits = [self._number(label) for label in options.labels], options.limits
        self.maker, self.placer = serving.MapMaker(network, input_size(self.processor)), Placer(self.processor)

    def _number(self, label: str) -> int:
        if label not in self.labels:
            raise InputError(f"--label: the model has no label {label!r}{nearest(label, self.labels)}")
        return self.labels.index(label)

    def explain_all(self, names: Sequence[str], output: Path) -> Iterator[dict[str, Any]]:
        taken: set[str] = set()
        for name in names:
            row = dict.fromkeys(("image", "file", "predicted", "maps", "seen", "frame", "layers", "error"))
            row["image"] = serving.display_name(name)
            try:
                with warnings.catch_warnings(action="ignore"):
                    image = serving.read_source(name, self.limits)
                pixels = process_image(self.processor, image)
            except (*serving.READ_ERRORS, ValueError) as error:  # the latter of a processor that rejects its shape
                yield row | {"error": why_unreadable(error)}
                continue
            with exact_float32():
                scores, rejected = (found[0] for found in self.classifier.judge([pixels]))
                if not np.isfinite(scores).all():
                    yield row | {"error": "the model's scores are not numbers"}
                    continue
                row["file"] = str(output / _file_name(name, taken))
                self._explain(row, image, pixels, scores, rejected)
            yield row

    def _explain(self, row: dict[str, Any], image: Image.Image, pixels, scores: np.ndarray, rejected: bool) -> None:
        """Complete an image's row and draw its picture."""
        best = int(np.argmax(scores))
        row["predicted"] = [NONE_OF_THESE] if rejected else [self.labels[best]]
        if self.classifier.thresholds is not None:
            row["predicted"] = serving.chosen_labels(self.classifier, scores)
        known = [self.labels.index(label) for label in row["predicted"] if label in self.labels]
        wanted = self.asked or known or [best]
        maps, placing = self.maker(pixels, wanted), self.placer(image.size)
        row["maps"] = [
            {"label": self.labels[i], "score": float(scores[i]), "found": bool(values.any())}
            for i, values in zip(wanted, maps, strict=True)
        ]
        row["seen"], row["frame"] = [round(edge, 1) for edge in placing.seen], placing.describe()
        row["layers"] = self.maker.layers
        reports.draw_explained(Path(row["file"]), image, row, [lambda size, m=m: placing.place(m, size) for m in maps])


def _file_name(name: str, taken: set[str]) -> str:
    """A name for an image's picture that is not taken yet, alike on systems that do not tell cases apart."""
    stem = clean(Path(name.partition("?")[0] if "://" in name else name).stem)
    stem = "".join("_" if letter in '\\/:*?"<>|' or not letter.isprintable() else letter for letter in stem)
    while len(stem.encode("utf-8", "replace")) > 200:
        stem = stem[:-1]
    stem, number = stem.strip(". ") or "image", 1
    found = stem
    while found.casefold() in taken:
        number += 1
        found = f"{stem}-{number}"
    taken.add(found.casefold())
    return f"{found}.png"
