"""Text for people: counts, durations, lists of names, Markdown tables, names as they are, no paths of the machine."""

import json
import re
import shlex
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

_MOST = 60  # characters of a name
_NO_BREAK = "\u00a0"
_PATH = re.compile(r"(?<![\w./~:\\-])(?:file://|~|[A-Za-z]:)?[/\\]{1,2}(?:[^\s/\\'\"]+[/\\])+([^\s/\\'\"]*)")

# C0 and C1 controls, surrogates, line and paragraph separators, and the marks of bidirectional text.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# What begins a cell that spreadsheets run, with the full-width forms; an apostrophe before it marks text.
_FORMULA = re.compile("'*[=+\\-@\uff1d\uff0b\uff0d\uff20]")
# In an address: a name with its password; a parameter that signs or authorizes (X-Amz-Signature, sig, token).
_USER = re.compile(r"(?<=://)(?!\*\*\*[0-9a-f]*@)[^\s/?#'\"<>]+@")
_SECRET = re.compile(
    r"([?&](?:[\w.%-]*[-_.])?(?:sig|signature|token|secret|password|passwd|pwd|credential|policy|auth|(?:api|access)?_?key"
    r"|awsaccesskeyid|googleaccessid|accesstoken)(?:[-_.][\w.%-]*)?=)(?!\*\*\*)[^&#\s'\"<>\\]*[^&#\s'\"<>\\:;,.)]",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def plain(name: Any) -> str:
    """Text that Markdown, and a table in it, shows as it is; cut where it is long."""
    text = clean(" ".join(str(name).split()))
    text = text if len(text) <= _MOST else text[: _MOST - 1] + "…"
    text = re.sub(r"([\\`*\[\]<>|~$]|&(?=#?\w+;)|:(?=//)|(?<=www)\.)", r"\\\1", text)
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)  # within a word it is no markup


def without_secrets(text: str) -> str:
    """Text in which addresses have no passwords and no signatures: `https://***@host/x.tar?X-Amz-Signature=***`."""
    return _SECRET.sub(r"\1***", _USER.sub("***@", text)) if "://" in text else text


def one_line(text: str, most: int = 380) -> str:
    """Text as one line that no terminal acts on: without control characters and marks that turn its direction.

    Of a long one the middle is left out: what is wrong stands first, what to do about it last.
    """
    text = " ".join(clean(" ".join(text.split())).split())
    return text if len(text) <= most else f"{text[: most * 2 // 3]} ... {text[5 - most + most * 2 // 3 :]}"


def clean(text: str) -> str:
    """Text that no terminal acts on: control characters and marks of direction are replaced; addresses lose secrets."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", without_secrets(text))


def escaped(text: str) -> str:
    """Text in one line, what `clean` replaces as Python writes it: `\\n`, `\\x1b`, `\\u2028`."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def as_json(content: Any, indent: int | None = None) -> str:
    """JSON with the same characters escaped, so that it is one line to every reader, and encodes to UTF-8; addresses in
    it have no secrets."""
    text = without_secrets(json.dumps(content, ensure_ascii=False, indent=indent))
    return _UNSEEN.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


def csv_cell(value: Any, raw: bool = False) -> Any:
    """A value for a CSV file: text in one line that no spreadsheet runs as a formula, behind an apostrophe if need be.

    Args:
        raw: put no apostrophe before formulas, but still before what looks as if one had been put there: `csv_content`
            reads either.
    """
    if not isinstance(value, str):
        return value
    text = escaped(value)
    runs = _FORMULA.match(text) and not _NUMBER.fullmatch(text) and (not raw or text.startswith("'"))
    return f"'{text}" if runs else text


def csv_content(cell: str) -> str:
    """The text that `csv_cell` made a cell of, in one line."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def table(heading: Sequence[str], rows: Iterable[Sequence[Any]], words: Sequence[str]) -> str:
    """A Markdown table; columns with one of these headings hold words, the others numbers, which are not broken."""
    marks = ["---" if name in words else "---:" for name in heading]
    cells = [
        [
            str(cell) if name in words else str(cell).replace(" ", _NO_BREAK)
            for name, cell in zip(heading, row, strict=True)
        ]
        for row in rows
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heading, marks, *cells))


def percent(value: float | None) -> str:
    """0.827957 as `82.8 %`."""
    return "-" if value is None else f"{100 * value:.1f} %"


def number(value: float | None, interval: Sequence[float] | None = None, digits: int = 4) -> str:
    """A number with its interval in brackets; a dash where there is none."""
    if value is None or value != value:
        return "-"
    ends = f" ({interval[0]:.{digits}f} to {interval[1]:.{digits}f})" if interval else ""
    return f"{value:.{digits}f}{ends}"


def plural(count: int, noun: str) -> str:
    """`1 image`, `1,200 images`, `2 classes`, `3 entries`; of several words the last one is the noun."""
    if count != 1:
        noun = re.sub(r"(?<=[^aeiou])y$", "ie", noun) if not re.search(r"(s|x|ch|sh)$", noun) else f"{noun}e"
        noun += "s"
    return f"{count:,} {noun}"


def duration(seconds: float) -> str:
    """`16.8 s`, `3 min 5 s`, `2 h 0 min`."""
    if round(seconds) < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def times(seconds: float, without: float) -> str:
    """`2.0 times the time: 3 s, 1.5 s without`; of less than a second the ratio says nothing."""
    factor = f"{seconds / without:.1f} times the time: " if without >= 1 else ""
    return f"{factor}{duration(seconds)}, {duration(without)} without"


def megabytes(size: int) -> str:
    """A number of bytes as `0.4 MB`, `1,234 MB`."""
    return f"{size / 1e6:,.{1 if size < 1e8 else 0}f} MB"


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: Chinese, Japanese and Korean characters two, marks none."""
    return sum(
        0
        if unicodedata.category(letter) in ("Mn", "Me", "Cf")
        else 2
        if unicodedata.east_asian_width(letter) in "WF"
        else 1
        for letter in text
    )


def listed(names: Iterable[Any], most: int = 5) -> str:
    """The first names, and how many more there are: `a, b and 3 more`."""
    names = list(map(str, names))
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def without_paths(value: Any, names: Collection[str] = ()) -> Any:
    """A value, or all values in lists and dictionaries, with absolute paths cut to their last part.

    Args:
        names: of classes, which may look like paths ("/m/01yrx") and stay.
    """
    if isinstance(value, dict):
        names = {*names, *(value.get("label_names") or ())}
        return {
            key: _clean_command(inner) if key == "command" else without_paths(inner, names)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [without_paths(inner, names) for inner in value]
    if not isinstance(value, str) or value in names:
        return value
    path = value.removeprefix("file://")
    for kind in (PurePosixPath, PureWindowsPath):
        if path.startswith("~") or kind(path).is_absolute():
            return kind(path).name or "."
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


def _clean_command(command: str) -> str:
    """Word by word, or else all of it would be one path."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    clean = [clean_word(word) for word in words]
    return command if clean == words else shlex.join(clean)
