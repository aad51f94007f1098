"""What libraries raise on a user's model, settings or device, as a user error of one line."""

import contextlib
import re
from collections.abc import Iterator
from textwrap import shorten

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from hf_imgcls.errors import InputError
from hf_imgcls.store import raise_denied

# Files and the Hub raise OSError, JSON and most checks of settings ValueError, names looked up in a table KeyError,
# networks given settings that they do not have TypeError, shapes that do not fit RuntimeError, timm's and torch's own
# checks AssertionError. Everything else (AttributeError, NameError, ...) is a bug.
_REFUSALS = (
    OSError, ValueError, KeyError, TypeError, RuntimeError, AssertionError, ImportError, StrictDataclassError,
    SafetensorError,
)  # fmt: skip

_MOST = 220  # characters of a library's message


@contextlib.contextmanager
def as_input_error(what: str, *more: type[Exception], hint: str = "") -> Iterator[None]:
    """What a library raises on the user's input, or one of `more`, as one line: `what`, its message, `hint`."""
    try:
        yield
    except InputError:
        raise
    except (*_REFUSALS, *more) as error:
        raise_denied(error)
        # torch adds the calls of its C++ code.
        text = " ".join(str(error).partition("Exception raised from")[0].split()) or type(error).__name__
        if "trust_remote_code" in text:
            text = "it needs code of its own, which is never run here; take an architecture of transformers or timm"
        elif isinstance(error, StrictDataclassError):
            text = _plain_type(text)
        elif isinstance(error, KeyError):
            text = f"unknown value {text}"
        raise InputError(f"{what}: {shorten(text, _MOST, placeholder=' ...')}{hint}") from None


def _plain_type(text: str) -> str:
    """What a strict configuration says of a value's type, without its Python."""
    text = re.sub(r"^Validation error for field '\w+': TypeError: Field '\w+' ", "", text)
    text = re.sub(r"^with value (.*?) doesn't match any type in \((.*?)\)\. Errors:.*", r"found \1, expected \2", text)
    return re.sub(r"<class '(\w+)'>", r"\1", text.replace("<class 'NoneType'>", "null"))
