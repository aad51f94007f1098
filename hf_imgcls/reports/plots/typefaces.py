"""Class names in images of a run: names in any script have their letters, long ones are shortened."""

import functools
import unicodedata
from collections.abc import Iterable
from importlib import resources

import regex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry, fontManager, get_font
from matplotlib.text import Text

from hf_imgcls.words import clean

# Fonts come first from packages, then from the system: a figure looks alike on every machine. The second package has
# one font for Chinese, Japanese and Korean, the first has the scripts that neither it nor DejaVu has.
_PACKAGES = ("manimgx_fonts", "noto_cjk_sans_jp_regular")
_PLAIN = "DejaVu Sans"


def set_fonts(figure: Figure, names: Iterable[str]) -> Figure:
    """Give every text of a figure the fonts that the names need, and take its characters as they are.

    What is written right to left, joined or stacked is set so by matplotlib (3.11 and later).
    """
    wanted = families("".join(names))
    for text in figure.findobj(Text):
        text.set_fontfamily(wanted)
        text.set_parse_math(False)  # a name with two dollar signs is no formula
    return figure


def families(text: str) -> list[str]:
    """Font families that together have every character of a text, as far as there are any; DejaVu Sans first."""
    plain = get_font(fontManager.findfont(_PLAIN)).get_charmap().keys()
    missing = {ord(character) for character in text if character.isprintable()} - plain
    found = [_PLAIN]
    for entry in _entries() if missing else ():
        covered = missing & get_font(entry.fname).get_charmap().keys()
        if covered:
            found.append(entry.name)
            missing -= covered
        if not missing:
            break
    return found


@functools.cache
def _entries() -> list[FontEntry]:
    """Upright regular fonts: those of the packages, those of the system, and the boxes that name a script."""
    files = [str(file) for package in _PACKAGES for file in resources.files(package).iterdir()]
    shipped = [file for file in files if file.endswith((".ttf", ".otf")) and "Italic" not in file]
    for file in shipped:
        fontManager.addfont(file)
    upright = [e for e in fontManager.ttflist if (e.style, e.variant, e.weight) == ("normal", "normal", 400)]
    return sorted(upright, key=lambda e: (e.fname not in shipped, e.name.startswith("Last Resort"), e.fname))


def shorten(name: str, width: int) -> str:
    """A name in at most so many columns, with its beginning and its end: names often differ only in one of them.

    Chinese, Japanese and Korean characters are two columns wide; marks stay with the letter that they belong to.
    """
    letters = regex.findall(r"\X", unicodedata.normalize("NFC", clean(" ".join(name.split()))))
    if sum(map(_columns, letters)) <= width:
        return "".join(letters)
    head, tail, left = [], [], width - 1
    while letters:
        end, index = (head, 0) if len(head) <= len(tail) else (tail, -1)
        left -= _columns(letters[index])
        if left < 0:
            break
        end.append(letters.pop(index))
    return "".join([*head, "…", *reversed(tail)])


def _columns(letter: str) -> int:
    return 2 if unicodedata.east_asian_width(letter[0]) in "WF" else 1
