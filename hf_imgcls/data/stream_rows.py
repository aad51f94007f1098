"""Rows of a stream through a transform, and how another run goes on behind those that one has trained on."""

import itertools
import os
import traceback
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import datasets
import torch
from datasets.distributed import split_dataset_by_node
from torch.utils.data import IterableDataset, get_worker_info

from hf_imgcls.data.check import verdict
from hf_imgcls.data.datafiles import LOAD_ERRORS, reason
from hf_imgcls.data.formats import known_fault
from hf_imgcls.errors import InputError, ReadError, UserError
from hf_imgcls.images import UNREADABLE
from hf_imgcls.words import clean

_CAST = "Couldn't cast"  # so begins what `datasets` says of a column whose type changes further down


class StreamRows(IterableDataset):
    """A stream through a transform. Each worker reads shards of its own, through a shuffle buffer of its own.

    Attributes:
        numbered: whether each row has `place`: its worker, how many rows this one had read and delivered with it, and
            the number of its image. Bad images make the two counts differ.
        first: rows of a pass that are read in any case, because the last batch of several processes is filled up
            with them.
    """

    def __init__(self, rows: datasets.IterableDataset, transform: Callable, bad_images: str = "drop"):
        self.rows, self.transform, self.bad_images = rows, transform, bad_images
        self.numbered, self.first = False, 1
        self._resumed: tuple[int, list[list[int]]] = (-1, [])

    def part_of(self, process: int, processes: int) -> "StreamRows | None":
        """The rows of the shards that one of several processes reads; None where each would not have as many shards."""
        if self.rows.num_shards % processes:
            return None
        return StreamRows(split_dataset_by_node(self.rows, process, processes), self.transform, self.bad_images)

    def set_epoch(self, epoch: int) -> None:
        self.rows.set_epoch(epoch)

    def resume(self, epoch: int, places: list[list[int]]) -> None:
        """Read no image again of those that were trained on in this pass; before any worker starts.

        Rows that were delivered come as zeros, because a loader counts the batches that it skips: each has as many as
        before, and comes from the same worker.

        Args:
            places: of each worker the rows it had read, those it had delivered, and its last image's number.
        """
        self._resumed = (epoch, places)

    def __iter__(self) -> Iterator[dict]:
        worker = info.id if (info := get_worker_info()) else 0
        epoch, places = self._resumed
        skipped, delivered, image = places[worker] if epoch == self.rows.epoch else (0, 0, 0)
        read = made = 0
        for read, row in enumerate(_naming_files(self.rows), 1):
            if read > skipped or made < min(self.first, delivered):
                if (ready := self._transform(row)) is not None:
                    made += 1
                    yield ready | ({"place": (worker, read, made, identity(row["image"]))} if self.numbered else {})
                    blank = ready
            elif read == skipped:
                if not is_there(row["image"]) or identity(row["image"]) != image:
                    raise _changed(f"row {row['row']} is another image")
                yield from itertools.repeat(_zeros(blank), delivered - made)
                made = delivered
        if read < skipped:
            raise _changed(f"there are {read} rows where at least {skipped} were")

    def _transform(self, row: dict) -> dict | None:
        """A row as the model takes it; None where its image cannot be read."""
        image = row["image"]
        try:
            made = self.transform({"image": [image], "label": [row["label"]], "row": [identity(image)]})
        except UNREADABLE:
            if not skip(image, row["row"], self.bad_images):
                raise
            return None
        return {key: values[0] for key, values in made.items()}


def note_files(rows: datasets.IterableDataset, files: list[Path]) -> None:
    """Remember size and time of change of local data files: an archive that is cut between two files has no error."""
    rows.info.download_checksums = {str(file): _stamp(file) for file in files}


def _stamp(file: str | Path) -> dict[str, int]:
    status = os.stat(file)
    return {"num_bytes": status.st_size, "checksum": status.st_mtime_ns}


def _naming_files(rows: datasets.IterableDataset) -> Iterator[dict]:
    """Rows; what a data file denies while it is read, or its change, becomes a ReadError that names it."""
    try:
        yield from rows
        _check_files(rows)
    except (*LOAD_ERRORS, TypeError) as error:
        if isinstance(error, TypeError) and not str(error).startswith(_CAST):
            raise
        told = isinstance(error, OSError) and error.strerror
        file = _file_of(error) or "the stream"
        if not isinstance(error, UserError):
            what = known_fault(error) or f"cannot be read: {told or reason(error)}"
            raise ReadError(f"{file} {what}; mend that, then run the same command again") from None
        _check_files(rows)  # half a sample has no label
        raise


def _check_files(rows: datasets.IterableDataset) -> None:
    for file, known in (rows.info.download_checksums or {}).items():
        try:
            changed = "was changed while it was read" if _stamp(file) != known else None
        except OSError as error:
            changed = f"cannot be read: {error.strerror}"
        if changed:
            raise ReadError(f"{file} {changed}; mend that, then run the same command again")


def _file_of(error: BaseException) -> str | None:
    """The data file that `datasets` was reading, which its errors do not say: the variables of its readers do."""
    files = (
        frame.f_locals.get(name) for frame, _ in traceback.walk_tb(error.__traceback__) for name in ("file", "tar_path")
    )
    return next((file for file in files if isinstance(file, str)), None)


def identity(image: dict | None) -> int:
    """The image's own number, which seeds its augmentation: each shard counts its rows from 0."""
    if not is_there(image):
        raise ValueError("no image in this row")
    return zlib.crc32(image["bytes"] if image["bytes"] is not None else image["path"].encode())


def is_there(image: dict | None) -> bool:
    return image is not None and (image["bytes"] is not None or image["path"] is not None)


def skip(image: dict | None, row: int, bad_images: str) -> bool:
    """Whether an image cannot be read, and a line about it."""
    reason = verdict(image)["reason"]
    return bool(reason) and refuse(image, row, reason, bad_images)


def refuse(image: dict | None, row: int, reason: str, bad_images: str) -> bool:
    """A line about an image that is skipped, or that ends the run; True."""
    name = (image or {}).get("path") or f"row {row}"
    if bad_images == "raise":
        raise InputError(f"data: {name} cannot be read: {reason}; data.bad_images=drop trains without it") from None
    datasets.logging.get_logger("hf_imgcls").warning(clean(f"data: {name} cannot be read: {reason}; skipped"))
    return True


def _zeros(row: dict) -> dict:
    """A row of the same shapes that counts for none."""
    blank = {key: torch.zeros_like(torch.as_tensor(value)) for key, value in row.items()}
    return {**blank, "place": (0, 0, 0, 0)}


def _changed(how: str) -> InputError:
    return InputError(
        f"data: the stream is not the one that this run was interrupted in: {how}; restore the data, or train anew "
        "with --start-over"
    )
