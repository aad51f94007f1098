"""Which images cannot be read, and what is done about it.

Every image is read to its end with the library that will read it in training: a header says nothing about what
follows it, and rules of thumb (a JPEG must contain "JFIF") throw good images away. Nothing on disk is changed.
"""

import contextlib
import hashlib
import os
import warnings
from collections import Counter

import datasets
import numpy as np
import PIL.Image
from PIL.JpegImagePlugin import JpegImageFile

from hf_imgcls.data.folds import for_all_folds
from hf_imgcls.data.label_arrays import label_texts
from hf_imgcls.data.rows import BadImage, Checked, Data, map_cached
from hf_imgcls.data.splits import fingerprint
from hf_imgcls.errors import InputError, ReadError
from hf_imgcls.images import (
    UNREADABLE,
    Limits,
    allow_pixels,
    check_left,
    decode_reduced,
    in_memory,
    loses_depth,
    open_image,
    open_usable,
    read_image,
    reader_version,
    why_unreadable,
)
from hf_imgcls.recipe import DataSection
from hf_imgcls.words import plural

_VERDICT = datasets.Features(dict.fromkeys(("reason", "digest", "lost", "file"), datasets.Value("string")))
_ALPHA, _DEPTH = "alpha channel dropped", "clipped to 8 bits per channel"
_DEFAULTS = Limits()
_FORMAT = 5  # another number makes the cached verdicts of older versions be computed anew
_ROWS_PER_PROCESS = 250  # below this, starting another process costs more than it saves


def check_split(data: Data, role: str, limits: Limits = _DEFAULTS) -> Checked:
    """Read every image of a split, move the bad ones to `data.bad`, note what is lost, and take the fingerprint.

    Returns those that can be read; an InputError where there are none.
    """
    rows = data.splits[role]
    # Of a fold those of all folds, which are then computed once.
    verdicts = for_all_folds(data, role, lambda whole, _: check_images(whole, role, limits))
    names = rows["name"][:] if "name" in rows.column_names else verdicts["file"][:]
    files = [name or f"row {row}" for name, row in zip(names, rows["row"][:], strict=True)]
    labels = label_texts(rows, data.labels)
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
    return Checked(files, digests, np.array(labels, object))


def limits_of(section: DataSection) -> Limits:
    """The recipe's limits of an image; Pillow is told of them in this process, and in those that it forks."""
    limits = Limits(section.max_pixels, section.max_aspect_ratio)
    allow_pixels(limits)
    return limits


def check_images(dataset: datasets.Dataset, split: str, limits: Limits = _DEFAULTS) -> datasets.Dataset:
    """Read every image (column image, undecoded) of a split, several processes at a time.

    Returns:
        A row per image: `reason` (empty if it is good), `digest` of its bytes, `lost` (by the conversion to RGB, or
        empty) and `file`, its name where the source has one. Cached: a second run reads no images.

    Raises:
        ReadError: an image cannot be read at present, which is no verdict and not cached.
    """
    listed = [name for name in ("image", "size") if name in dataset.column_names]
    images = dataset.select_columns(listed)
    return map_cached(
        "verdicts",
        [_FORMAT, reader_version(), images._fingerprint, limits],
        images,
        verdicts,
        _ROWS_PER_PROCESS,
        batched=True,
        batch_size=100,  # one by one, a tenth of the time goes into handing rows over
        fn_kwargs={"limits": limits},
        remove_columns=listed,
        features=_VERDICT,
        desc=f"checking the images of {split}",
    )[0]


def verdicts(rows: dict[str, list], limits: Limits) -> dict[str, list[str]]:
    """The verdicts on a batch of rows, in columns."""
    found = [verdict(image, limits) for image in rows["image"]]
    for image, size, one in zip(rows["image"], rows.get("size", ()), found, strict=False):
        if size >= 0 and one["reason"] and not os.path.exists(image["path"]):
            raise ReadError(f"{image['path']}: was there when the data were listed, and is gone; run again")
    return {key: [one[key] for one in found] for key in _VERDICT}


def verdict(image: dict | None, limits: Limits = _DEFAULTS) -> dict[str, str]:
    """The verdict on a row's image, `{"bytes": ..., "path": ...}`; a ReadError where there can be none at present."""
    found = dict.fromkeys(_VERDICT, "")
    # Images that are files have absolute paths; another path is but a name, of bytes that are not there.
    if image is None or (image["bytes"] is None and not os.path.isabs(image["path"] or "")):
        return found | {"reason": "no image in this row"}
    # An absolute path says where this machine keeps its cache, and would make the fingerprints differ.
    file = image["path"] or ""
    found["file"] = os.path.basename(file) if os.path.isabs(file) else file
    try:
        image = in_memory(image)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found["lost"] = _read(image, limits)
        found["digest"] = hashlib.blake2b(image["bytes"], digest_size=16).hexdigest()
    except UNREADABLE as error:
        found["reason"] = why_unreadable(error)
    return found


def _read(value: dict, limits: Limits) -> str:
    """Read an image to its end; returns what its conversion to RGB loses.

    A JPEG is broken in its headers or in the compressed data, and those are read to the last byte at any scale: at an
    eighth the verdict is the same and takes half the time. A JPEG that fails is read in full as well,
    for the message of that.
    """
    image = open_usable(value, limits)
    if isinstance(image, JpegImageFile):
        with contextlib.suppress(*UNREADABLE):
            decode_reduced(image, 8)
            read_image(image)
            return ""  # it has neither transparency nor more than 8 bits
    rgb, image = read_image(value), open_image(value)
    check_left(image, rgb)
    return _lost_in_rgb(image)


def _lost_in_rgb(image: PIL.Image.Image) -> str:
    if loses_depth(image):
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
