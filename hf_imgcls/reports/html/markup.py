"""HTML and SVG elements as text; what is not markup is escaped."""

import html
from collections.abc import Collection, Iterable
from typing import Any

from hf_imgcls.words import clean

_VOID = {"img", "meta", "circle", "line", "path", "polyline", "rect", "image"}


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *children: Any, **attributes: Any) -> Markup:
    """An element. Children may be markup, text, numbers, None, or lists of these.

    Attributes: `class_` loses its underscore, in others one becomes a hyphen; None and False leave an attribute out.
    """
    written = "".join(
        _attribute(key, value) for key, value in attributes.items() if value is not None and value is not False
    )
    if name in _VOID:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Iterable[Any]) -> Markup:
    """Children as `tag` takes them, one after another."""
    return Markup("".join(map(_child, children)))


def _child(child: Any) -> str:
    if child is None:
        return ""
    if isinstance(child, list | tuple):
        return join(child)
    return child if isinstance(child, Markup) else html.escape(clean(str(child)), quote=False)


def _attribute(key: str, value: Any) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(clean(str(value)))}"'


def table(heading: Iterable[Any], rows: Iterable[Iterable[Any]], caption: str, words: Collection[int] = (0,)) -> Markup:
    """A table that scrolls by itself where it is wider than the page; columns that are not `words` hold numbers.

    The first cell of a row is its heading.
    """
    head = tag("tr", [tag("th", each, scope="col", class_=_kind(i, words)) for i, each in enumerate(heading)])
    body = [tag("tr", [_cell(i, each, words) for i, each in enumerate(row)]) for row in rows]
    inner = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", body))
    return scrolling(inner, caption)


def _cell(place: int, content: Any, words: Collection[int]) -> Markup:
    if place == 0:
        return tag("th", content, scope="row")
    return tag("td", content, class_=_kind(place, words))


def _kind(place: int, words: Collection[int]) -> str | None:
    return None if place in words else "number"


def scrolling(content: Markup, name: str) -> Markup:
    """What may be wider than the page, in a region that keys scroll."""
    return tag("div", content, class_="scroll", tabindex=0, role="region", aria_label=name)


def page(title: str, body: Iterable[Any], style: str) -> str:
    """A whole document; it loads nothing from anywhere."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy}"/>'),
        tag("title", title),
        tag("style", Markup(style)),
    ]
    return f"<!DOCTYPE html>\n{tag('html', tag('head', head), tag('body', *body), lang='en')}\n"
