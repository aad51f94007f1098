"""Images that are not what they were when they were checked: taken away, cut off, replaced by others."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from hf_imgcls.data.check import verdict
from hf_imgcls.data.duplicates import short_digests
from hf_imgcls.data.rows import Data
from hf_imgcls.errors import ReadError, UserError
from hf_imgcls.images import UNREADABLE

_SKEW = 60.0  # seconds that the clock of a file server may be behind


@contextlib.contextmanager
def naming_changed(images: Iterable[dict]) -> Iterator[None]:
    """What reading raises inside becomes a ReadError that names the first of the images that cannot be read now.

    Args:
        images: as `datasets.Image(decode=False)` delivers them, checked before; looked at only after an error.
    """
    try:
        yield
    except UserError:
        raise
    except UNREADABLE:
        for image in images:
            if reason := verdict(image)["reason"]:
                raise ReadError(f"{_what_happened(image['path'], reason)}, then run the same command again") from None
        raise  # every image is sound: this is about something else


def _what_happened(path: str | None, reason: str) -> str:
    gone = [place for place in (Path(path), *Path(path).parents) if not place.exists()] if path else []
    if gone:
        return f"{gone[-1]}: was there when the images were checked, and is gone; put it back"
    return f"{path}: could be read when the images were checked, and now cannot be: {reason}; put it back"


def find_replaced(data: Data, since: float) -> dict[str, list[str]]:
    """The names of image files that have other bytes than when they were checked, by split.

    Only files that were changed in some way `since` (seconds of the epoch, before the check) are read again. Images
    that are gone, or lie within a data file, are not looked at.
    """
    found = {}
    for role, known in data.digests.items():
        rows = data.splits[role]
        changed = (i for i, image in enumerate(rows["image"][:]) if _changed(image, since))
        if replaced := [rows[i]["name"] for i in changed if _digest(rows[i]["image"]["path"]) != known[i]]:
            found[role] = replaced
    return found


def _changed(image: dict, since: float) -> bool:
    if image["bytes"] is not None:
        return False
    try:
        status = os.stat(image["path"])
    except OSError:
        return False
    return max(status.st_mtime, status.st_ctime) > since - _SKEW


def _digest(path: str) -> int:
    return short_digests([hashlib.blake2b(Path(path).read_bytes(), digest_size=16).hexdigest()])[0]
