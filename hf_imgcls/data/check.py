"""Which images cannot be read, and what is done about it.

Every image is read to its end with the library that will read it in training: a header says nothing about what
follows it, and rules of thumb (a JPEG must contain "JFIF") throw good images away. Nothing on disk is changed.
"""

import contextlib
import hashlib
import os
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import datasets
import PIL.Image
from PIL.JpegImagePlugin import JpegImageFile

from hf_imgcls.data.rows import BadImage, map_cached
from hf_imgcls.errors import InputError
from hf_imgcls.images import UNREADABLE, decode_reduced, open_image, read_image, reader_version, why_unreadable
from hf_imgcls.words import plural

_VERDICT = datasets.Features(dict.fromkeys(("reason", "digest", "lost", "file"), datasets.Value("string")))
_ALPHA, _DEPTH = "alpha channel dropped", "clipped to 8 bits per channel"
_FORMAT = 3  # another number makes the cached verdicts of older versions be computed anew
_ROWS_PER_PROCESS = 250  # below this, starting another process costs more than it saves


class CheckedSplit(NamedTuple):
    """A split's readable rows with their names and digests, the bad images, and notes."""

    rows: datasets.Dataset
    files: list[str]
    digests: list[str]
    bad: list[BadImage]
    notes: list[str]


def check_split(rows: datasets.Dataset, split: str, labels: list[str]) -> CheckedSplit:
    """Read every image of a split and separate the readable from the bad ones.

    Args:
        rows: columns image (undecoded), label, row, and name where the images are files.
        split: its name, for the report and the progress bar.
        labels: class names.

    Raises:
        InputError: not one can be read.
    """
    verdicts = check_images(rows, split)
    reasons, digests = verdicts["reason"][:], verdicts["digest"][:]
    named = rows["name"][:] if "name" in rows.column_names else verdicts["file"][:]
    files = [name or f"row {row}" for name, row in zip(named, rows["row"][:], strict=True)]
    bad = [
        BadImage(file, labels[label], split, reason)
        for file, label, reason in zip(files, rows["label"][:], reasons, strict=True)
        if reason
    ]
    good = [i for i, reason in enumerate(reasons) if not reason]
    if not good:
        raise InputError(
            f"data: none of the {len(bad)} images of {split} can be read; the first, {bad[0].file}: {bad[0].reason}"
        )
    lost = Counter(verdicts["lost"][:])
    return CheckedSplit(
        rows.select(good) if bad else rows,
        [files[i] for i in good],
        [digests[i] for i in good],
        bad,
        [f"{split}: {what} in {plural(lost[what], 'image')}" for what in (_ALPHA, _DEPTH) if lost[what]],
    )


def check_images(dataset: datasets.Dataset, split: str) -> datasets.Dataset:
    """Read every image of a split, several processes at a time.

    Args:
        dataset: has the column image, undecoded.
        split: for the progress bar.

    Returns:
        A row per image: `reason` (empty if it is good), `digest` of its bytes, `lost` (by the conversion to RGB, or
        empty) and `file`, its name where the source has one. Cached: a second run reads no images.
    """
    images = dataset.select_columns(["image"])
    return map_cached(
        "verdicts",
        [_FORMAT, reader_version(), images._fingerprint],
        images,
        verdicts,
        _ROWS_PER_PROCESS,
        batched=True,
        batch_size=100,  # one by one, a tenth of the time goes into handing rows over
        remove_columns=["image"],
        features=_VERDICT,
        desc=f"checking the images of {split}",
    )[0]


def verdicts(rows: dict[str, list]) -> dict[str, list[str]]:
    """The verdicts on a batch of rows, in columns."""
    found = [verdict({"image": image}) for image in rows["image"]]
    return {key: [one[key] for one in found] for key in _VERDICT}


def verdict(row: dict) -> dict[str, str]:
    """The verdict on a row's `image`, `{"bytes": ..., "path": ...}`."""
    image = row["image"]
    if image is None or (image["bytes"] is None and image["path"] is None):
        return _verdict("no image in this row")
    # An absolute path says where this machine keeps its cache, and would make the fingerprints differ.
    file = image["path"] or ""
    file = os.path.basename(file) if os.path.isabs(file) else file
    try:
        data = image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()
        value = {"bytes": data, "path": image["path"]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lost = _read(value)
        return _verdict("", file, hashlib.blake2b(data, digest_size=16).hexdigest(), lost)
    except FileNotFoundError:
        return _verdict("no such file", file)
    except UNREADABLE as error:
        return _verdict(why_unreadable(error), file)


def _verdict(reason: str, file: str = "", digest: str = "", lost: str = "") -> dict[str, str]:
    return {"reason": reason, "digest": digest, "lost": lost, "file": file}


def _read(value: dict) -> str:
    """Read an image to its end; returns what its conversion to RGB loses.

    A JPEG is broken in its headers or in the compressed data, and those are read to the last byte at any scale: at an
    eighth the verdict is the same and takes half the time. A JPEG that fails is read in full as well,
    for the message of that.
    """
    image = open_image(value)
    if isinstance(image, JpegImageFile):
        with contextlib.suppress(*UNREADABLE):
            decode_reduced(image, 8)
            read_image(image)
            return ""  # it has neither transparency nor more than 8 bits
    read_image(value)
    return _lost_in_rgb(open_image(value))


def _lost_in_rgb(image: PIL.Image.Image) -> str:
    if image.mode.startswith("I") or image.mode == "F":
        return _DEPTH
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A").getextrema()
        return _ALPHA if alpha[0] < 255 else ""
    return ""


def refuse_bad_images(bad: list[BadImage]) -> None:
    """`bad_images: "raise"`: name the first.

    Raises:
        InputError: if there is any.
    """
    if bad:
        first, others = bad[0], f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise InputError(
            f"data: {first.file} ({first.split}, {first.label}) cannot be read: {first.reason}{others}; "
            "data.bad_images=drop trains without it"
        )
