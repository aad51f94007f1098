"""Images that could be read when they were checked, and cannot be any more: taken away, cut off, written over."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from hf_imgcls.data.check import verdict
from hf_imgcls.errors import ReadError, UserError
from hf_imgcls.images import UNREADABLE


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
