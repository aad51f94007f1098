"""Predicting: any model on any images, read while it runs; a row for each image, written as it comes."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from accelerate.utils import gather_object

from hf_imgcls import serving
from hf_imgcls.api.image_rows import ImageCounts, Work, note, write_rows
from hf_imgcls.api.on_device import batch_size_of, open_here
from hf_imgcls.errors import InputError
from hf_imgcls.images import check_views
from hf_imgcls.serving import Classifier, PredictOptions

_DEFAULTS = PredictOptions()


def predict_images(
    model: str, images: Sequence[str], output: Path | None = None, options: PredictOptions = _DEFAULTS
) -> ImageCounts:
    """Predict images and write a row for each, in the order of `find_images`, after those of an earlier run.

    Images that the output already has are not predicted again, unless there was no such file or its server failed; and
    duplicate names are predicted once.

    Args:
        model: a folder or a Hub id, of any origin.
        images: files, folders, patterns, URLs; `-` reads a list from standard input.
        output: a .csv, .jsonl or .parquet file; if None, a table on a terminal, else CSV on standard output.
    """
    options = check_options(options)
    opened: list[Classifier | serving.ClassifierOfViews] = []

    def open_work() -> Work:
        opened.append(_open(model, options))
        return _work(opened[0], options)

    counts = write_rows(images, output, open_work)
    if options.tta and counts.images:
        tally = serving.Tally(*map(sum, zip(*gather_object([opened[0].tally]), strict=True)))
        note(serving.describe_tally(options.tta, tally))
    return counts


def check_options(options: PredictOptions) -> PredictOptions:
    """Options that hold, with views as `images` names them; an InputError names the one that does not."""
    for key in ("top_k", "batch_size"):
        value = getattr(options, key)
        if value is not None and value < 1:
            raise InputError(f"--{key.replace('_', '-')}: found {value}, expected 1 or more")
    return options._replace(tta=check_views(options.tta))


def _open(model: str, options: PredictOptions) -> Classifier | serving.ClassifierOfViews:
    classifier = open_here(serving.open_classifier, model, options)
    return serving.ClassifierOfViews(classifier, options.tta) if options.tta else classifier


def _work(classifier: Classifier | serving.ClassifierOfViews, options: PredictOptions) -> Work:
    several = classifier.thresholds is not None
    columns = serving.column_names(min(options.top_k, len(classifier.labels)), several)
    batch_size = batch_size_of(options)

    def rows(names: Iterator[str]) -> Iterator[list[dict]]:
        return serving.predict_rows(classifier, names, columns, batch_size, options.limits)

    longest = max(map(len, classifier.labels))
    return Work(classifier.name, columns, rows, "predicting", longest, options.raw_csv)
