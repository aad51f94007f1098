"""Which pictures cannot be read, and what is done about it.

Every picture is read in full, as it will be read in training: a header says nothing about what follows it, and
rules of thumb (a JPEG must contain "JFIF") throw good pictures away. Nothing on disk is touched.
"""

import csv
import hashlib
import os
import warnings
from pathlib import Path
from typing import NamedTuple

import datasets
import PIL
import PIL.Image
import transformers

from hf_imgcls.pictures import open_picture, read_picture
from hf_imgcls.recipe import InputError

_VERDICT = datasets.Features(
    {"reason": datasets.Value("string"), "digest": datasets.Value("string"), "spoilt": datasets.Value("string")}
)
_ROWS_A_PROCESS = 250  # below this, starting another process costs more than it saves


class BadPicture(NamedTuple):
    """A picture that cannot be read: which, of what class, where it was found, and why."""

    file: str
    label: str
    split: str
    reason: str


def check_pictures(dataset: datasets.Dataset, split: str) -> datasets.Dataset:
    """Read every picture of a split, several processes at a time.

    Args:
        dataset: has the column image, undecoded.
        split: for the progress bar.

    Returns:
        A row a picture: `reason` (empty if it is good), `digest` of its bytes, `spoilt` (what the conversion to RGB
        loses: "transparency", "high bit depth", or nothing). Cached by `datasets`: a second run reads no pictures.
    """
    processes = min(os.cpu_count() or 1, len(dataset) // _ROWS_A_PROCESS)
    pictures = dataset.select_columns(["image"])
    return pictures.map(
        verdict,
        fn_kwargs={"reader": f"1 pillow {PIL.__version__} transformers {transformers.__version__}"},
        remove_columns=["image"],
        features=_VERDICT,
        num_proc=processes if processes > 1 else None,
        desc=f"checking the pictures of {split}",
    )


def verdict(row: dict, reader: str) -> dict[str, str]:
    """The verdict on one picture.

    Args:
        row: has `image`, `{"bytes": ..., "path": ...}`.
        reader: what reads it; verdicts are cached under this name.
    """
    image = row["image"]
    if image is None or (image["bytes"] is None and image["path"] is None):
        return {"reason": "no picture in this row", "digest": "", "spoilt": ""}
    try:
        data = image["bytes"] if image["bytes"] is not None else Path(image["path"]).read_bytes()
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        value = {"bytes": data, "path": image["path"]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_picture(value)
            return {"reason": "", "digest": digest, "spoilt": _spoilt(open_picture(value))}
    except FileNotFoundError:
        return {"reason": "no such file", "digest": "", "spoilt": ""}
    except Exception as error:  # each of Pillow's plugins has its own way to say no
        return {"reason": _reason(error), "digest": "", "spoilt": ""}


def _reason(error: Exception) -> str:
    if isinstance(error, PIL.UnidentifiedImageError):
        return "not a picture, or its header is broken"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _spoilt(picture: PIL.Image.Image) -> str:
    if picture.mode.startswith("I") or picture.mode == "F":
        return "high bit depth"
    if picture.has_transparency_data:
        alpha = picture.convert("RGBA").getchannel("A").getextrema()
        return "transparency" if alpha[0] < 255 else ""
    return ""


def refuse(bad: list[BadPicture]) -> None:
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


def write_report(bad: list[BadPicture], file: Path) -> None:
    """Write the bad pictures as CSV, a header alone where there are none."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(BadPicture._fields)
        writer.writerows(bad)
