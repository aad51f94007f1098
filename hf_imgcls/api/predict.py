"""Predicting: any model on any images, which are read while it runs; a row an image, written as it comes.

accelerate launch hf_imgcls/predict.py MODEL IMAGES... --output answers.csv
"""

import os
import sys
import tempfile
import warnings
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from accelerate import PartialState
from accelerate.utils import gather_object, parse_flag_from_env
from tqdm.auto import tqdm

from hf_imgcls.errors import InputError
from hf_imgcls.machine import check_launch, exact_float32, on_main, prepare_launch, show_progress
from hf_imgcls.serving import (
    Classifier,
    Earlier,
    Listed,
    PredictOptions,
    RowWriter,
    TerminalTable,
    check_same,
    columns,
    find_images,
    merge_parts,
    open_classifier,
    predict_rows,
    read_earlier,
    read_list,
    write_list,
)

# Images a step. On a CPU what one step makes has to stay in its caches: MobileNetV2 answers to 4 at a time twice
# as fast as to 16, DeiT a tenth faster.
_ON_CPU, _ON_GPU = 4, 64
_PATIENCE = timedelta(days=7)  # processes wait for the slowest; the usual ten minutes are none in a million images


class Counts(NamedTuple):
    """Images that were done now, those of them that cannot be read, those that an earlier run had done."""

    images: int
    unreadable: int
    earlier: int


_USUAL = PredictOptions()


def predict_images(
    model: str, images: Sequence[str], output: Path | None = None, how: PredictOptions = _USUAL
) -> Counts:
    """Predict images and write a row for each, in the order of `find_images`, behind those of an earlier run.

    An image that the output has is not done again, and one that is named twice is done once.

    Args:
        model: a folder or a Hub id, of any origin.
        images: files, folders, patterns, addresses; `-` is a list on standard input.
        output: a .csv, .jsonl or .parquet file; if not given, standard output has a table, or CSV where it is no
            terminal.

    Raises:
        InputError: nothing found, the model cannot be opened, or the output was not written by it.
    """
    _check(how)
    prepare_launch()
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"), timeout=_PATIENCE)
    launch_note = check_launch()
    if output is None and state.num_processes > 1:
        raise InputError(f"--output: {state.num_processes} processes need one to bring their rows together in")
    file, listed, earlier = on_main(lambda: _make_list(images, output))
    try:
        if launch_note:
            _note(launch_note)
        classifier = _open(model, how, state)
        names = columns(min(how.top_k, len(classifier.labels)))
        check_same(earlier, classifier.name, names, output)
        if listed.done:
            _note(f"{output} has {listed.done} of the images, {listed.to_do} are left")
        batch_size = how.batch_size or (_ON_CPU if _on_cpu(how, state) else _ON_GPU)
        unreadable = _write_share(classifier, names, (file, listed), output, batch_size)
        unreadable = sum(gather_object([unreadable]))  # every process has written its rows when this is known
        if output:
            on_main(lambda: merge_parts(output, names))
    finally:
        if state.is_main_process:
            file.unlink(missing_ok=True)
    return Counts(listed.to_do, unreadable, listed.done)


def describe_counts(counts: Counts, output: Path | None) -> str:
    """The counts in a line."""
    without = f", {counts.unreadable} of them without an answer (the rows say why)" if counts.unreadable else ""
    earlier = f", {counts.earlier} were there" if counts.earlier else ""
    return f"{counts.images} images done{without}{earlier}" + (f"; in {output}" if output else "")


def _check(how: PredictOptions) -> None:
    for key in ("top_k", "batch_size"):
        value = getattr(how, key)
        if value is not None and value < 1:
            raise InputError(f"--{key.replace('_', '-')}: found {value}, expected 1 or more")


def _make_list(images: Sequence[str], output: Path | None) -> tuple[Path, Listed, Earlier]:
    """What is to be done, in a file that every process can read, and what the output has (without its marks)."""
    earlier = read_earlier(output) if output else Earlier(set(), set(), None)
    several = PartialState().num_processes > 1
    with tempfile.NamedTemporaryFile(
        "w", encoding="ascii", prefix=".hf-imgcls-", dir=output.parent if several else None, delete=False
    ) as file:
        try:
            listed = write_list(find_images(images), earlier.done, file)
        except BaseException:
            os.unlink(file.name)
            raise
    return Path(file.name), listed, earlier._replace(done=set())


def _on_cpu(how: PredictOptions, state: PartialState) -> bool:
    return str(how.device or state.device).startswith("cpu")


def _open(model: str, how: PredictOptions, state: PartialState) -> Classifier:
    if how.half and _on_cpu(how, state):
        raise InputError("--half: is for a GPU, a CPU computes it more slowly; leave it out")
    with state.main_process_first():  # it copies a model's code to where all find it
        return open_classifier(model, how.device or state.device, how.trust_remote_code, how.half)


def _note(line: str) -> None:
    if PartialState().is_main_process:
        print(line, file=sys.stderr, flush=True)


def _write_share(classifier: Classifier, names: list[str], todo: tuple[Path, Listed], output, batch_size: int) -> int:
    """Predict this process's share of the list, write its rows, and count those without an answer."""
    file, listed = todo
    if not listed.to_do:
        return 0
    state, unreadable = PartialState(), 0
    if output is None:
        sink = TerminalTable(names, listed.longest, max(map(len, classifier.labels)))
    elif state.num_processes > 1 or output.suffix.lower() == ".parquet":
        sink = RowWriter(output.with_name(f"{output.name}.part-{state.process_index}"), names)
    else:
        sink = RowWriter(output, names)
    share = read_list(file, state.process_index, state.num_processes)
    total = len(range(state.process_index, listed.to_do, state.num_processes))
    bar = tqdm(total=total, desc="predicting", unit="image", disable=not show_progress())
    with sink, bar, exact_float32(), warnings.catch_warnings():
        # Here, since the threads would put each other's filters back.
        warnings.simplefilter("ignore")
        for rows in predict_rows(classifier, share, names, batch_size):
            sink.write(rows)
            unreadable += sum(row["error"] is not None for row in rows)
            bar.update(len(rows))
    return unreadable
