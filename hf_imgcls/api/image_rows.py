"""A row for each image, by one or several processes: listed once, read while it runs, written as it comes, resumed."""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, TextIO

from accelerate import PartialState
from accelerate.utils import gather_object, parse_flag_from_env
from tqdm.auto import tqdm

from hf_imgcls import serving
from hf_imgcls.errors import InputError
from hf_imgcls.machine import check_launch, check_shared, exact_float32, on_main, prepare_launch, show_progress
from hf_imgcls.scoring import NONE_OF_THESE
from hf_imgcls.serving import ListSize, RowWriter, TerminalTable, WrittenRows
from hf_imgcls.store import Lock, lock_beside
from hf_imgcls.words import clean, plural

_TIMEOUT = timedelta(days=7)  # for the slowest process; the usual ten minutes are too short for a million images


class ImageCounts(NamedTuple):
    """Images of this run, unreadable ones among them, images that the output already had."""

    images: int
    unreadable: int
    earlier: int


class Work(NamedTuple):
    """What makes rows of images.

    Attributes:
        model: its name with its digest.
        columns: of a row.
        rows: of images, a batch at a time.
        doing: for the progress bar.
        longest_label: characters, for a table on a terminal.
        raw_csv: cells of a CSV that a spreadsheet would run stay as they are.
        about: metadata of a Parquet file.
    """

    model: str
    columns: list[str]
    rows: Callable[[Iterable[str]], Iterator[list[dict]]]
    doing: str
    longest_label: int = 0
    raw_csv: bool = False
    about: Mapping[str, str] | None = None


def write_rows(images: Sequence[str], output: Path | None, open_work: Callable[[], Work]) -> ImageCounts:
    """Write a row for each image, in the order of `find_images`, after those of an earlier run.

    Images that the output already has are skipped, unless there was no such file or its server failed; and duplicate
    names have one row.

    Args:
        output: None for standard output.
        open_work: opens the model, once the images are listed.
    """
    state = join_processes()
    launch_note = check_launch()
    if output is None and state.num_processes > 1:
        raise InputError(f"--output: {state.num_processes} processes need a file to merge their rows in")
    with Lock() as lock:
        if output:
            on_main(lambda: _lock(output, lock))
        return _write_new(images, output, open_work, launch_note)


def join_processes() -> PartialState:
    prepare_launch()
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"), timeout=_TIMEOUT)


def note(line: str) -> None:
    """A line on standard error, if anybody reads it."""
    if PartialState().is_main_process:
        with contextlib.suppress(OSError):
            print(clean(line), file=sys.stderr, flush=True)


def note_counts(again: int, rejected: int) -> None:
    """Lines of the images that are to be read again, and of those that show none of the classes."""
    if rejected:
        note(f"{plural(rejected, 'image')} predicted as {NONE_OF_THESE}")
    if again:
        note(f"{plural(again, 'image')} could not be read for now; the same command tries them again")


def describe_counts(counts: ImageCounts, output: Path | str | None, done: str = "predicted") -> str:
    """The counts in a line."""
    failed = f", {counts.unreadable} of them unreadable (see the column error)" if counts.unreadable else ""
    earlier = f", {counts.earlier} skipped (already there)" if counts.earlier else ""
    return f"{plural(counts.images, 'image')} {done}{failed}{earlier}" + (f"; in {output}" if output else "")


def _lock(output: Path, lock: Lock) -> None:
    if output.parent.is_dir() and os.access(output.parent, os.W_OK):  # else the output is refused, or appended to
        lock.take(lock_beside(output), f"--output: {output}", "wait until that has ended, or name another file")


def _write_new(
    images: Sequence[str], output: Path | None, open_work: Callable[[], Work], launch_note: str | None
) -> ImageCounts:
    """Rows of the images that the output does not have."""
    file, size, written = on_main(lambda: _list_images(images, output))
    try:
        if output:
            check_shared(output.parent, "--output")
        if launch_note:
            note(launch_note)
        work = open_work()
        serving.check_continues(written, work.model, work.columns, output)
        if size.done:
            note(f"{output} has {size.done} of the images, {size.to_do} are left")
        unreadable, again, rejected = 0, 0, 0
        if output:
            on_main(lambda: serving.drop_rows(output, written.again, work.columns))
        if size.to_do:
            unreadable, again, rejected = _make_rows(work, _writer(output, work, size), file, size.to_do)
        # Also waits until every process has written its rows.
        unreadable, again, rejected = map(sum, zip(*gather_object([(unreadable, again, rejected)]), strict=True))
        if output:
            on_main(lambda: serving.merge_parts(output, work.columns, work.raw_csv, work.about))
        note_counts(again if output else 0, rejected)
    finally:
        if PartialState().is_main_process and isinstance(file, Path):
            file.unlink(missing_ok=True)
    return ImageCounts(size.to_do, unreadable, size.done)


def _list_images(images: Sequence[str], output: Path | None) -> tuple[Path | TextIO, ListSize, WrittenRows]:
    """A file of the names to do, and what the output has of other images and, in `again`, of these."""
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


def _writer(output: Path | None, work: Work, size: ListSize) -> RowWriter | TerminalTable:
    if output is None:
        return TerminalTable(work.columns, size.longest, work.longest_label, work.raw_csv)
    state = PartialState()
    if state.num_processes > 1 or output.suffix.lower() == ".parquet":
        output = output.with_name(f"{output.name}.part-{state.process_index}")
    return RowWriter(output, work.columns, work.raw_csv)


def _make_rows(work: Work, writer: RowWriter | TerminalTable, file: Path | TextIO, count: int) -> tuple[int, int, int]:
    """Write the rows of this process's part of a list of `count` names; unreadable images, to try again, rejected."""
    state, unreadable, again, rejected = PartialState(), 0, 0, 0
    names = serving.read_list(file, state.process_index, state.num_processes)
    total = len(range(state.process_index, count, state.num_processes))
    bar = tqdm(total=total, desc=work.doing, unit="image", disable=not show_progress())
    with writer, bar, exact_float32(), warnings.catch_warnings(action="ignore"):
        # Here and not in the threads, which would restore each other's filters.
        for rows in work.rows(names):
            writer.write(rows)
            unreadable += sum(row["error"] is not None for row in rows)
            again += sum(map(serving.tried_again, rows))
            rejected += sum(row.get("label_1") == NONE_OF_THESE and row["score_1"] is None for row in rows)
            bar.update(len(rows))
    return unreadable, again, rejected
