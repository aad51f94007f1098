"""Which images cannot be read, and what is done about it.

Every image is read to its end with the library that will read it in training: a header says nothing about what
follows it, and rules of thumb (a JPEG must contain "JFIF") throw good images away. Nothing on disk is touched.
"""

import contextlib
import csv
import hashlib
import os
import warnings
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import datasets
import joblib
import PIL
import PIL.Image
import transformers
from PIL.JpegImagePlugin import JpegImageFile

from hf_imgcls.errors import InputError
from hf_imgcls.images import decode_reduced, open_image, read_image, why_unreadable

_VERDICT = datasets.Features(dict.fromkeys(("reason", "digest", "spoilt", "file"), datasets.Value("string")))
_LOST = ("transparency", "high bit depth")
_ROWS_A_PROCESS = 250  # below this, starting another process costs more than it saves


class BadImage(NamedTuple):
    """An image that cannot be read: which, of what class, where it was found, and why."""

    file: str
    label: str
    split: str
    reason: str


class Checked(NamedTuple):
    """A split's good rows with what tells them apart, the bad ones, and what to say about it."""

    rows: datasets.Dataset
    files: list[str]
    digests: list[str]
    bad: list[BadImage]
    notes: list[str]


def check_split(rows: datasets.Dataset, split: str, labels: list[str]) -> Checked:
    """Read every image of a split and part the good ones from the bad.

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
    spoilt = Counter(verdicts["spoilt"][:])
    return Checked(
        rows.select(good) if bad else rows,
        [files[i] for i in good],
        [digests[i] for i in good],
        bad,
        [f"{split}: {spoilt[what]} images lose their {what} when converted to RGB" for what in _LOST if spoilt[what]],
    )


def check_images(dataset: datasets.Dataset, split: str) -> datasets.Dataset:
    """Read every image of a split, several processes at a time.

    Args:
        dataset: has the column image, undecoded.
        split: for the progress bar.

    Returns:
        A row an image: `reason` (empty if it is good), `digest` of its bytes, `spoilt` (what the conversion to RGB
        loses: "transparency", "high bit depth", or nothing) and `file`, its name where the source has one. Kept in
        the cache of `datasets`: a second run reads no images.
    """
    processes = min(joblib.cpu_count(), len(dataset) // _ROWS_A_PROCESS)
    images = dataset.select_columns(["image"])
    reader = f"2 pillow {PIL.__version__} transformers {transformers.__version__}"
    # By itself `map` keeps its result beside the rows: of a saved data set in the user's own folder.
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "hf_imgcls_verdicts"
    folder.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(f"{reader} {images._fingerprint}".encode()).hexdigest()[:32]
    return images.map(
        verdicts,
        batched=True,
        batch_size=100,  # one by one, a tenth of the time goes into handing rows over
        fn_kwargs={"reader": reader},
        remove_columns=["image"],
        features=_VERDICT,
        num_proc=processes if processes > 1 else None,
        cache_file_name=str(folder / f"{key}.arrow"),
        desc=f"checking the images of {split}",
    )


def verdicts(rows: dict[str, list], reader: str) -> dict[str, list[str]]:
    """The verdicts on a batch of rows, in columns."""
    found = [verdict({"image": image}, reader) for image in rows["image"]]
    return {key: [one[key] for one in found] for key in _VERDICT}


def verdict(row: dict, reader: str) -> dict[str, str]:
    """The verdict on one image.

    Args:
        row: has `image`, `{"bytes": ..., "path": ...}`.
        reader: what reads it; verdicts are cached under this name.
    """
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
            spoilt = _read(value)
        return _verdict("", file, hashlib.blake2b(data, digest_size=16).hexdigest(), spoilt)
    except FileNotFoundError:
        return _verdict("no such file", file)
    except Exception as error:  # each of Pillow's plugins has its own way to say no
        return _verdict(why_unreadable(error), file)


def _verdict(reason: str, file: str = "", digest: str = "", spoilt: str = "") -> dict[str, str]:
    return {"reason": reason, "digest": digest, "spoilt": spoilt, "file": file}


def _read(value: dict) -> str:
    """Read an image to its end; returns what its conversion to RGB loses.

    A JPEG is broken in its headers or in the compressed data, and those are read to the last byte at any scale: at an
    eighth the verdict is the same and takes half the time. Only a JPEG that passes is passed; what is wrong with
    another is said by the full read.
    """
    image = open_image(value)
    if isinstance(image, JpegImageFile):
        with contextlib.suppress(Exception):
            decode_reduced(image, 8)
            read_image(image)
            return ""  # it has neither transparency nor more than 8 bits
    read_image(value)
    return _spoilt(open_image(value))


def _spoilt(image: PIL.Image.Image) -> str:
    if image.mode.startswith("I") or image.mode == "F":
        return "high bit depth"
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A").getextrema()
        return "transparency" if alpha[0] < 255 else ""
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


def write_bad_images(bad: list[BadImage], file: Path) -> None:
    """Write the bad images as CSV, a header alone where there are none."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(BadImage._fields)
        writer.writerows(bad)
