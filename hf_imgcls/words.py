"""How a model card puts things: names that are no markup, tables, durations, and no path of the training machine."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

Text = list[tuple[str, str]]  # pieces of a card, each with the key that `card.parts` knows it by

_MOST = 60  # characters of a name
_TOGETHER = "\u00a0"  # a space at which a narrow column of a table is not broken
_PATH = re.compile(r"(?<![\w./~:\\-])(?:file://|~|[A-Za-z]:)?[/\\]{1,2}(?:[^\s/\\'\"]+[/\\])+([^\s/\\'\"]*)")


def plain(name: Any) -> str:
    """Text that Markdown, and a table in it, shows as it is; cut where it is long."""
    text = " ".join(str(name).split())
    text = text if len(text) <= _MOST else text[: _MOST - 1] + "…"
    text = re.sub(r"([\\`*\[\]<>|~$])", r"\\\1", text)
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)  # within a word it is no markup


def table(heading: Sequence[str], rows: Iterable[Sequence[Any]], words: Sequence[str]) -> str:
    """A table; columns with one of these headings hold words, the others figures."""
    marks = ["---" if name in words else "---:" for name in heading]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (heading, marks, *rows))


def percent(value: float | None) -> str:
    """0.827957 as `82.8 %`."""
    return "-" if value is None else f"{100 * value:.1f} %"


def figure(value: float | None, ends: Sequence[float] | None = None, digits: int = 4) -> str:
    """A figure with its interval in brackets; a dash where there is none."""
    if value is None or value != value:
        return "-"
    interval = f" ({ends[0]:.{digits}f} to {ends[1]:.{digits}f})" if ends else ""
    return f"{value:.{digits}f}{interval}".replace(" ", _TOGETHER)


def duration(seconds: float) -> str:
    """`16.8 s`, `3 min 5 s`, `2 h 0 min`."""
    minutes, rest = divmod(round(seconds), 60)
    text = f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
    return (f"{seconds:.3g} s" if seconds < 60 else text).replace(" ", _TOGETHER)


def some(names: Sequence[str], most: int) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(map(plain, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def without_paths(value: Any) -> Any:
    """A value, or all values in lists and dictionaries, with absolute paths cut to their last part.

    Names of classes are left alone: they may look like paths ("/m/01yrx").
    """
    if isinstance(value, dict):
        return {key: inner if key == "label_names" else without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_paths(inner) for inner in value]
    if not isinstance(value, str):
        return value
    path = value.removeprefix("file://")
    if path.startswith("~") or PurePosixPath(path).is_absolute():
        return PurePosixPath(path).name or "."
    if PureWindowsPath(path).is_absolute():
        return PureWindowsPath(path).name or "."
    return _PATH.sub(r"\1", value)


def clean_word(word: str) -> str:
    """A word of a command without absolute paths, also where it is `key=value` with JSON in it."""
    key, equals, value = word.partition("=")
    if not equals:
        return without_paths(word)
    try:
        found = json.loads(value)
    except json.JSONDecodeError:
        return f"{key}={without_paths(value)}"
    shown = without_paths(found)
    return word if shown == found else f"{key}={json.dumps(shown, ensure_ascii=False)}"
