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

import datasets
import numpy as np
import PIL.Image
from PIL.JpegImagePlugin import JpegImageFile

from hf_imgcls.data.rows import BadImage, Checked, Data, map_cached
from hf_imgcls.data.splits import fingerprint
from hf_imgcls.errors import InputError
from hf_imgcls.images import UNREADABLE, decode_reduced, open_image, read_image, reader_version, why_unreadable
from hf_imgcls.words import plural

_VERDICT = datasets.Features(dict.fromkeys(("reason", "digest", "lost", "file"), datasets.Value("string")))
_ALPHA, _DEPTH = "alpha channel dropped", "clipped to 8 bits per channel"
_FORMAT = 3  # another number makes the cached verdicts of older versions be computed anew
_ROWS_PER_PROCESS = 250  # below this, starting another process costs more than it saves


def check_split(data: Data, role: str) -> Checked:
    """Read every image of a split, move the bad ones to `data.bad`, note what is lost, and take the fingerprint.

    Returns those that can be read; an InputError where there are none.
    """
    rows = data.splits[role]
    verdicts = check_images(rows, role)
    names = rows["name"][:] if "name" in rows.column_names else verdicts["file"][:]
    files = [name or f"row {row}" for name, row in zip(names, rows["row"][:], strict=True)]
    labels = [data.labels[label] for label in rows["label"][:]]
    judged = list(zip(files, verdicts["digest"][:], labels, verdicts["reason"][:], strict=True))
    bad = [BadImage(file, label, role, reason) for file, _, label, reason in judged if reason]
    good = [i for i, (*_, reason) in enumerate(judged) if not reason]
    if not good:
        raise InputError(
            f"data: none of the {len(bad)} images of {role} can be read; the first, {bad[0].file}: {bad[0].reason}"
        )
    files, digests, labels = zip(*(judged[i][:3] for i in good), strict=True)
    data.splits[role] = rows.select(good) if bad else rows
    data.fingerprints[role] = fingerprint(files, digests, labels)
    data.bad += bad
    lost = Counter(verdicts["lost"][:])
    data.notes += [f"{role}: {what} in {plural(lost[what], 'image')}" for what in (_ALPHA, _DEPTH) if lost[what]]
    return Checked(files, digests, np.array(data.splits[role]["label"][:]))


def check_images(dataset: datasets.Dataset, split: str) -> datasets.Dataset:
    """Read every image (column image, undecoded) of a split, several processes at a time.

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
    found = [verdict(image) for image in rows["image"]]
    return {key: [one[key] for one in found] for key in _VERDICT}


def verdict(image: dict | None) -> dict[str, str]:
    """The verdict on a row's image, `{"bytes": ..., "path": ...}`."""
    found = dict.fromkeys(_VERDICT, "")
    # Images that are files have absolute paths; another path is but a name, of bytes that are not there.
    if image is None or (image["bytes"] is None and not os.path.isabs(image["path"] or "")):
        return found | {"reason": "no image in this row"}
    # An absolute path says where this machine keeps its cache, and would make the fingerprints differ.
    file = image["path"] or ""
    found["file"] = os.path.basename(file) if os.path.isabs(file) else file
    try:
        data = image["bytes"] if image["bytes"] is not None else Path(file).read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found["lost"] = _read({"bytes": data, "path": image["path"]})
        found["digest"] = hashlib.blake2b(data, digest_size=16).hexdigest()
    except FileNotFoundError:
        found["reason"] = "no such file"
    except UNREADABLE as error:
        found["reason"] = why_unreadable(error)
    return found


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
    """`bad_images: "raise"`: an InputError that names the first, if there is any."""
    if bad:
        first, others = bad[0], f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise InputError(
            f"data: {first.file} ({first.split}, {first.label}) cannot be read: {first.reason}{others}; "
            "data.bad_images=drop trains without it"
        )
