"""The Hub: whether it can be reached, asking it again where that may help, and what went wrong in one line."""

import json
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from huggingface_hub import get_session, get_token
from huggingface_hub.errors import HfHubHTTPError, HTTPError
from huggingface_hub.utils import LocalTokenNotFoundError

from hf_imgcls.errors import PushError
from hf_imgcls.machine import say

T = TypeVar("T")
_PAUSES = (1, 2, 4, 8)  # seconds before another attempt
_PASSING = {408, 412, 429, 500, 502, 503, 504}  # what may be over at the next attempt; 412: someone else committed
_PATIENCE = 100  # seconds without a sign of life; the client by itself waits for ever
_WHAT_TO_DO = {
    401: "; the token is unknown or has expired: set HF_TOKEN or run `hf auth login`",
    403: "; the token of HF_TOKEN or `hf auth login` may not write there",
    412: "; somebody else is changing this repository",
}


def with_retries(call: Callable[[], T]) -> T:
    """Call again after a while where that may help.

    Raises:
        PushError: it did not, or cannot; says what happened.
    """
    for pause in _PAUSES:
        try:
            return as_push_error(call)
        except PushError as error:
            if not _may_pass(error.__cause__):
                raise
            say(f"push: {error}; trying again in {pause} s")
            time.sleep(pause)
    return as_push_error(call)


def as_push_error(call: Callable[[], T]) -> T:
    """Turn what the client raises into a PushError of one line, with the client's error as its cause."""
    get_session().timeout = _PATIENCE
    try:
        return call()
    except PushError:
        raise
    # The client's own, those of its HTTP library, its checks of names and cards, and those of its upload threads.
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        raise PushError(what_happened(error)) from error


def _may_pass(error: BaseException | None) -> bool:
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _PASSING
    return isinstance(error, HTTPError | json.JSONDecodeError)


def what_happened(error: BaseException) -> str:
    """An error of the client in one line, without addresses that carry a signature and without the token."""
    if isinstance(error, LocalTokenNotFoundError):
        line = "there is no token; set HF_TOKEN or run `hf auth login`"
    elif isinstance(error, HfHubHTTPError):
        status, request = error.response.status_code, error.response.request
        said = f": {error.server_message}" if error.server_message else ""
        phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else ""
        line = f"{status} {phrase} to {request.method} {request.url.path}{said}"[:300] + _WHAT_TO_DO.get(status, "")
    elif isinstance(error, RuntimeError) and error.__cause__:  # of an upload thread: which file, and why
        line = f"{error} {what_happened(error.__cause__)}"
    elif isinstance(error, json.JSONDecodeError):
        line = "an answer that is none of the Hub's"
    else:
        line = f"{type(error).__name__}: {error}"[:300]
    token = get_token()
    return " ".join((line.replace(token, "***") if token else line).split())
