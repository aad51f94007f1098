"""Predicting: any model on any images, read while it runs; a row for each image, written as it comes."""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, TextIO

from accelerate import PartialState
from accelerate.utils import gather_object, parse_flag_from_env
from tqdm.auto import tqdm

from hf_imgcls import serving
from hf_imgcls.errors import InputError
from hf_imgcls.images import Limits, check_views
from hf_imgcls.machine import check_launch, check_shared, exact_float32, on_main, prepare_launch, show_progress
from hf_imgcls.scoring import NONE_OF_THESE
from hf_imgcls.serving import Classifier, ListSize, PredictOptions, RowWriter, TerminalTable, WrittenRows
from hf_imgcls.store import Lock, lock_beside
from hf_imgcls.words import clean, plural

# Default batch sizes. On a CPU the activations of a batch have to fit into its caches: MobileNetV2 is twice as fast
# with 4 images at a time as with 16, DeiT a tenth faster.
_ON_CPU, _ON_GPU = 4, 64
_TIMEOUT = timedelta(days=7)  # for the slowest process; the usual ten minutes are too short for a million images
_DEFAULTS = PredictOptions()


class PredictCounts(NamedTuple):
    """Images predicted by this run, unreadable ones among them, images that the output already had."""

    images: int
    unreadable: int
    earlier: int


def predict_images(
    model: str, images: Sequence[str], output: Path | None = None, options: PredictOptions = _DEFAULTS
) -> PredictCounts:
    """Predict images and write a row for each, in the order of `find_images`, after those of an earlier run.

    Images that the output already has are not predicted again, unless there was no such file or its server failed; and
    duplicate names are predicted once.

    Args:
        model: a folder or a Hub id, of any origin.
        images: files, folders, patterns, URLs; `-` reads a list from standard input.
        output: a .csv, .jsonl or .parquet file; if None, a table on a terminal, else CSV on standard output.
    """
    for key in ("top_k", "batch_size"):
        value = getattr(options, key)
        if value is not None and value < 1:
            raise InputError(f"--{key.replace('_', '-')}: found {value}, expected 1 or more")
    options = options._replace(tta=check_views(options.tta))
    prepare_launch()
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"), timeout=_TIMEOUT)
    launch_note = check_launch()
    if output is None and state.num_processes > 1:
        raise InputError(f"--output: {state.num_processes} processes need a file to merge their rows in")
    with Lock() as lock:
        if output:
            on_main(lambda: _lock(output, lock))
        return _predict_new(model, images, output, options, launch_note)


def _lock(output: Path, lock: Lock) -> None:
    if output.parent.is_dir() and os.access(output.parent, os.W_OK):  # else the output is refused, or appended to
        lock.take(lock_beside(output), f"--output: {output}", "wait until that has ended, or name another file")


def _predict_new(
    model: str, images: Sequence[str], output: Path | None, options: PredictOptions, launch_note: str | None
) -> PredictCounts:
    """Predict the images that the output does not have."""
    state = PartialState()
    file, size, written = on_main(lambda: _list_images(images, output))
    try:
        if output:
            check_shared(output.parent, "--output")
        if launch_note:
            _note(launch_note)
        classifier = _open(model, options, state)
        several = classifier.thresholds is not None
        columns = serving.column_names(min(options.top_k, len(classifier.labels)), several)
        serving.check_continues(written, classifier.name, columns, output)
        if size.done:
            _note(f"{output} has {size.done} of the images, {size.to_do} are left")
        batch_size = options.batch_size or (_ON_CPU if _on_cpu(options, state) else _ON_GPU)
        unreadable, again, rejected = 0, 0, 0
        if output:
            on_main(lambda: serving.drop_rows(output, written.again, columns))
        if size.to_do:
            writer = _writer(output, columns, size, classifier.labels, options.raw_csv)
            unreadable, again, rejected = _predict(classifier, writer, (file, size.to_do), (batch_size, options.limits))
        # Also waits until every process has written its rows.
        unreadable, again, rejected = map(sum, zip(*gather_object([(unreadable, again, rejected)]), strict=True))
        if rejected:
            _note(f"{plural(rejected, 'image')} predicted as {NONE_OF_THESE}")
        if options.tta and size.to_do:
            tally = serving.Tally(*map(sum, zip(*gather_object([classifier.tally]), strict=True)))
            _note(serving.describe_tally(options.tta, tally))
        if output:
            on_main(lambda: serving.merge_parts(output, columns, options.raw_csv))
            if again:
                _note(f"{plural(again, 'image')} could not be read for now; the same command tries them again")
    finally:
        if state.is_main_process and isinstance(file, Path):
            file.unlink(missing_ok=True)
    return PredictCounts(size.to_do, unreadable, size.done)


def describe_counts(counts: PredictCounts, output: Path | None) -> str:
    """The counts in a line."""
    failed = f", {counts.unreadable} of them unreadable (see the column error)" if counts.unreadable else ""
    earlier = f", {counts.earlier} skipped (already there)" if counts.earlier else ""
    return f"{counts.images} images predicted{failed}{earlier}" + (f"; in {output}" if output else "")


def _list_images(images: Sequence[str], output: Path | None) -> tuple[Path | TextIO, ListSize, WrittenRows]:
    """A file of the names to predict, and what the output has of other images and, in `again`, of these."""
    if output:
        serving.check_place(output, images)
    written = serving.read_written(output) if output else WrittenRows(set(), set(), None, set())
    if PartialState().num_processes == 1:  # a file without a name: a kill leaves nothing of it
        file = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115
        if output:
            serving.list_file(output).unlink(missing_ok=True)  # of several processes that were killed
        size = serving.write_list(serving.find_images(images), written.done, file)
    else:
        file = serving.list_file(output)
        try:
            with file.open("w", encoding="ascii") as lines:
                size = serving.write_list(serving.find_images(images), written.done, lines)
        except BaseException:
            file.unlink(missing_ok=True)
            raise
    again = set()
    if written.again:
        hashes = (serving.name_hash(serving.display_name(name)) for name in serving.read_list(file, 0, 1))
        again = written.again.intersection(hashes)
    return file, size, written._replace(done=set(), again=again)


def _on_cpu(options: PredictOptions, state: PartialState) -> bool:
    return str(options.device or state.device).startswith("cpu")


def _open(model: str, options: PredictOptions, state: PartialState) -> Classifier | serving.ClassifierOfViews:
    if options.half and _on_cpu(options, state):
        raise InputError("--half: is for a GPU, a CPU computes it more slowly; leave it out")
    with state.main_process_first():  # it copies a model's code to where all processes find it
        how = (options.device or state.device, options.trust_remote_code, options.half)
        classifier = serving.open_classifier(model, *how)
    return serving.ClassifierOfViews(classifier, options.tta) if options.tta else classifier


def _note(line: str) -> None:
    """A line on standard error, if anybody reads it."""
    if PartialState().is_main_process:
        with contextlib.suppress(OSError):
            print(clean(line), file=sys.stderr, flush=True)


def _writer(
    output: Path | None, columns: list[str], size: ListSize, labels: list[str], raw_csv: bool
) -> RowWriter | TerminalTable:
    if output is None:
        return TerminalTable(columns, size.longest, max(map(len, labels)), raw_csv)
    state = PartialState()
    if state.num_processes > 1 or output.suffix.lower() == ".parquet":
        output = output.with_name(f"{output.name}.part-{state.process_index}")
    return RowWriter(output, columns, raw_csv)


def _predict(
    classifier: Classifier, writer: RowWriter | TerminalTable, todo: tuple[Path | TextIO, int], how: tuple[int, Limits]
) -> tuple[int, int, int]:
    """Predict this process's part of the list and write its rows; images without predictions, to try again, rejected.

    Args:
        todo: the list, and how many names it has.
        how: batch size and limits.
    """
    file, count = todo
    state, unreadable, again, rejected = PartialState(), 0, 0, 0
    names = serving.read_list(file, state.process_index, state.num_processes)
    total = len(range(state.process_index, count, state.num_processes))
    bar = tqdm(total=total, desc="predicting", unit="image", disable=not show_progress())
    with writer, bar, exact_float32(), warnings.catch_warnings(action="ignore"):
        # Here and not in the threads, which would restore each other's filters.
        for rows in serving.predict_rows(classifier, names, writer.columns, *how):
            writer.write(rows)
            unreadable += sum(row["error"] is not None for row in rows)
            again += sum(map(serving.tried_again, rows))
            rejected += sum(row["label_1"] == NONE_OF_THESE and row["score_1"] is None for row in rows)
            bar.update(len(rows))
    return unreadable, again, rejected
