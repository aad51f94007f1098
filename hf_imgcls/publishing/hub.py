"""Calls of the Hub's client: retries where they may help, and its errors in one line."""

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
_TRANSIENT = {408, 412, 429, 500, 502, 503, 504}  # may succeed at the next attempt; 412: someone else committed
_TIMEOUT = 100  # seconds without a response; the client by itself waits for ever
_WHAT_TO_DO = {
    401: "; the token is unknown or has expired: set HF_TOKEN or run `hf auth login`",
    403: "; the token of HF_TOKEN or `hf auth login` may not write there",
    412: "; somebody else is changing this repository",
}


def with_retries(call: Callable[[], T]) -> T:
    """Call, and call again after a while where that may help.

    Raises:
        PushError: it did not, or cannot; says what happened.
    """
    for pause in _PAUSES:
        try:
            return as_push_error(call)
        except PushError as error:
            if not _is_transient(error.__cause__):
                raise
            say(f"push: {error}; trying again in {pause} s")
            time.sleep(pause)
    return as_push_error(call)


def as_push_error(call: Callable[[], T]) -> T:
    """Turn what the client raises into a PushError of one line, with the client's error as its cause."""
    get_session().timeout = _TIMEOUT
    try:
        return call()
    except PushError:
        raise
    # The client's own, those of its HTTP library, its checks of names and cards, and those of its upload threads.
    except (HTTPError, OSError, ValueError, RuntimeError) as error:
        raise PushError(describe_error(error)) from error


def _is_transient(error: BaseException | None) -> bool:
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _TRANSIENT
    return isinstance(error, HTTPError | json.JSONDecodeError)


def describe_error(error: BaseException) -> str:
    """An error of the client in one line, without addresses that carry a signature and without the token."""
    if isinstance(error, LocalTokenNotFoundError):
        line = "there is no token; set HF_TOKEN or run `hf auth login`"
    elif isinstance(error, HfHubHTTPError):
        status, request = error.response.status_code, error.response.request
        message = f": {error.server_message}" if error.server_message else ""
        phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else ""
        line = f"{status} {phrase} to {request.method} {request.url.path}{message}"[:300] + _WHAT_TO_DO.get(status, "")
    elif isinstance(error, RuntimeError) and error.__cause__:  # of an upload thread: which file, and why
        line = f"{error} {describe_error(error.__cause__)}"
    elif isinstance(error, json.JSONDecodeError):
        line = "the response is not the Hub's"
    else:
        line = f"{type(error).__name__}: {error}"[:300]
    token = get_token()
    return " ".join((line.replace(token, "***") if token else line).split())
