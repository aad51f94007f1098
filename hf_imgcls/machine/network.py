"""Whether the Hub can be reached from here."""

import socket
import urllib.request
from urllib.parse import urlsplit

import datasets
from huggingface_hub import constants

from hf_imgcls.errors import PushError

_given_up = False  # whether the Hub was not reached, as opposed to not wanted


def use_hub() -> bool:
    """Whether the Hub can be reached; where it cannot, what its cache holds is used at once.

    Without this, every file is asked for five times with growing pauses before the cache, or an error, comes.
    """
    global _given_up
    if constants.HF_HUB_OFFLINE:
        return False
    if urllib.request.getproxies():  # a proxy reaches what this machine cannot
        return True
    address = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((address.hostname, address.port or 443), timeout=10).close()
    except OSError:
        _given_up = constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
        return False
    return True


def reach_hub() -> None:
    """Try the Hub again, also where it was once given up: hours lie between the first batch and the push."""
    global _given_up
    if _given_up:
        _given_up = constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = False
    if not use_hub():
        why = "cannot be reached from here" if _given_up else "is not asked, since HF_HUB_OFFLINE is set"
        raise PushError(f"{constants.ENDPOINT} {why}")
