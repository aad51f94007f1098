"""Regular expressions of a recipe, over the names of parameters."""

import difflib
import re
import time
from collections.abc import Collection

import regex

from hf_imgcls.errors import InputError

_SECONDS = 2  # for a pattern of a recipe, which may be a stranger's


def compile_pattern(pattern: str, key: str) -> regex.Pattern:
    """Refuse what is no regular expression; `key` is its place in the recipe."""
    try:
        return regex.compile(pattern)
    except (regex.error, OverflowError, RecursionError) as error:
        raise InputError(f"{key}: {pattern[:80]!r} is no regular expression ({error})") from None


def matching(names: Collection[str], pattern: str, key: str, of: str = "parameter") -> list[str]:
    """The names that a pattern matches, one at least; `of` says what they are."""
    compiled, end = compile_pattern(pattern, key), time.monotonic() + _SECONDS
    try:
        found = [name for name in names if compiled.search(name, timeout=max(0.01, end - time.monotonic()))]
    except TimeoutError:
        raise InputError(
            f"{key}: {pattern[:80]!r} takes more than {_SECONDS} s on the names of the parameters; write it "
            "without repetitions of repetitions"
        ) from None
    if not found:
        raise InputError(f"{key}: {pattern[:80]!r} matches no {of}; near names: {_near(names, pattern)}")
    return found


def _near(names: Collection[str], pattern: str) -> str:
    """Names of parameters and of modules that look most like what a pattern spells."""
    spelled = re.sub(r"[\\^$?*+()\[\]]", "", pattern[:200]).strip(".")
    parts = [name.split(".") for name in names]
    known = dict.fromkeys(".".join(part[:length]) for part in parts for length in range(1, len(part) + 1))
    return ", ".join(difflib.get_close_matches(spelled, known, n=3, cutoff=0.0))
