"""Images from URLs: read in full or not at all, and tried again where a server, or the way to it, fails for a while."""

import errno
import http.client
import string
import time
import urllib.parse
import urllib.request
from urllib.error import HTTPError, URLError

from hf_imgcls.errors import InputError, ReadError
from hf_imgcls.images import MISSING, UnusableImage, why_unreadable
from hf_imgcls.store import look_up, read_stored
from hf_imgcls.words import without_secrets

SCHEMES = ("http://", "https://")
TEMPORARY = "temporary: "  # begins the error of an image that the same command tries again
_TIMEOUT = 30  # seconds without a byte from a server
_MAX_BYTES = 200_000_000  # of an image: an endless response must not fill the memory
# Many servers reject the default agent.
_AGENT = "Mozilla/5.0 (compatible; hf-imgcls)"
# What a server has nothing to do with.
_OF_THIS_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
_BUSY = (408, 425, 429)  # statuses below 500 that say nothing of the image
_PAUSES = (0.5, 2.0)  # seconds before the second and the third try
_LONGEST = 30  # seconds that a server may ask to wait
_failing: set[str] = set()  # servers that failed the last time, for whose other images nothing is waited


class TemporaryError(UnusableImage):
    """Nothing was learned of the image: its server was down, busy or out of reach."""


def read_url(name: str) -> bytes:
    """The content of a URL.

    Raises:
        TemporaryError: the server, or the way to it, failed each time.
        ReadError: this machine cannot read it at present.
        OSError, ValueError, http.client.HTTPException: there is no image, as far as the server says.
    """
    server = urllib.parse.urlsplit(name).netloc
    for pause in (*(() if server in _failing else _PAUSES), None):
        try:
            data = _download(name)
            _failing.discard(server)
            return data
        except (OSError, http.client.HTTPException) as error:
            cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, OSError) else error
            if getattr(cause, "errno", None) in _OF_THIS_MACHINE:
                raise ReadError(
                    f"{without_secrets(name)}: {cause.strerror}; mend that, then run the same command again"
                ) from None
            if not _may_pass(error):
                raise
            if pause is None:
                _failing.add(server)
                raise TemporaryError(f"{TEMPORARY}{why_unreadable(cause)}") from None
            time.sleep(max(pause, _asked_to_wait(error)))


def read_address(name: str) -> bytes:
    """The content of an address (s3://, gs://, ...), whose library tries again by itself.

    Raises:
        TemporaryError: its service failed each time.
        UnusableImage: there is no such file.
        MachineError: no permission: that of the other images too.
    """
    try:
        data = read_stored(name, _MAX_BYTES + 1)
    except ReadError as error:
        if (file := look_up(name)) and file.size == 0:  # of which a service has no first bytes
            return b""
        raise TemporaryError(f"{TEMPORARY}{error}") from None
    except InputError:
        if not look_up(name):
            raise UnusableImage(MISSING[0]) from None
        raise
    if len(data) > _MAX_BYTES:
        raise UnusableImage(f"larger than {_MAX_BYTES // 1_000_000} MB")
    return data


def _download(name: str) -> bytes:
    request = urllib.request.Request(urllib.parse.quote(name, safe=string.punctuation), headers={"User-Agent": _AGENT})
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        data = response.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise ValueError(f"larger than {_MAX_BYTES // 1_000_000} MB")
        if left := getattr(response, "length", None):  # it ended early, which `read` of so many bytes does not say
            raise http.client.IncompleteRead(data, left)
    return data


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later; a server that answers 404 or 403 has decided."""
    if isinstance(error, HTTPError):
        return error.code >= 500 or error.code in _BUSY
    if isinstance(error, URLError):
        return isinstance(error.reason, OSError)  # else it is the address that is wrong
    return isinstance(error, (OSError, http.client.IncompleteRead, http.client.BadStatusLine))


def _asked_to_wait(error: Exception) -> float:
    """Seconds that a busy server asks for, within reason."""
    wanted = error.headers.get("Retry-After", "") if isinstance(error, HTTPError) else ""
    return min(int(wanted), _LONGEST) if wanted.isascii() and wanted.isdigit() else 0
