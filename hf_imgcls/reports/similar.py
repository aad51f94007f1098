"""Similar images as people read them and programs: console lines, CSV, JSON, a page with the images."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hf_imgcls.errors import ReadError
from hf_imgcls.reports.html.markup import Markup, page, tag
from hf_imgcls.reports.html.thumbnails import data_uri, gallery, picture
from hf_imgcls.reports.report.style import STYLE
from hf_imgcls.serving import READ_ERRORS, image_value
from hf_imgcls.store import csv_text, write_json, write_text
from hf_imgcls.words import clean, plural

COLUMNS = ("query", "rank", "image", "similarity", "error")
_MOST = 600  # images of a page, some 7 KB each


class Neighbours(NamedTuple):
    """A query, the images nearest to it with their cosine similarity, best first, and why there are none."""

    query: str
    images: list[tuple[str, float]]
    error: str | None


def neighbour_rows(found: Sequence[Neighbours]) -> Iterator[list]:
    """A row of COLUMNS for each neighbour, or for a query that has none."""
    for each in found:
        if not each.images:
            yield [each.query, None, None, None, each.error]
        for rank, (name, similarity) in enumerate(each.images, 1):
            yield [each.query, rank, name, round(similarity, 6), None]


def neighbour_csv(found: Sequence[Neighbours]) -> str:
    return csv_text(COLUMNS, neighbour_rows(found))


def describe_neighbours(found: Sequence[Neighbours]) -> list[str]:
    """Lines of a terminal: each query above its neighbours."""
    lines = []
    for each in found:
        lines.append(clean(each.query if each.error is None else f"{each.query}: {each.error}"))
        lines += [f"  {similarity:6.3f}  {clean(name)}" for name, similarity in each.images]
    return lines


def save_neighbours(output: Path, found: Sequence[Neighbours], source: str) -> None:
    """A .csv, .json or .html file.

    Args:
        source: what was searched, for the page.
    """
    kind = output.suffix.lower()
    if kind == ".csv":
        write_text(output, neighbour_csv(found))
    elif kind == ".json":
        write_json(output, [_as_object(each) for each in found])
    else:
        write_text(output, neighbour_page(found, source))


def _as_object(each: Neighbours) -> dict:
    images = [{"image": name, "similarity": round(similarity, 6)} for name, similarity in each.images]
    return {"query": each.query, "images": images, "error": each.error}


def neighbour_page(found: Sequence[Neighbours], source: str) -> str:
    """One document with small copies of the images, those of the first queries where there are many."""
    shown, images = [], 0
    for each in found:
        images += 1 + len(each.images)
        if shown and images > _MOST:
            break
        shown.append(each)
    about = f"{plural(len(found), 'query')}; by cosine similarity of the features in {source}, from -1 to 1."
    if len(shown) < len(found):
        about += f" The first {len(shown):,} are shown; a .csv or .json file has all of them."
    sections = [tag("section", tag("h2", each.query), _neighbours(each)) for each in shown]
    title = "Similar images"
    body = [tag("header", tag("h1", title), tag("p", about, class_="note")), tag("main", sections)]
    return page(title, body, STYLE)


def _neighbours(each: Neighbours) -> Markup:
    if each.error is not None:
        return tag("p", f"cannot be compared: {each.error}", class_="caution")
    query = picture(_uri(each.query), f"query: {each.query}", tag("b", "query"))
    others = [
        picture(
            _uri(name),
            f"number {rank}, similarity {similarity:.3f}: {name}",
            f"{rank}: {similarity:.3f}",
            tag("span", name, class_="file"),
        )
        for rank, (name, similarity) in enumerate(each.images, 1)
    ]
    return gallery([query, *others])


def _uri(name: str) -> str | None:
    try:
        return data_uri(image_value(name))
    except (*READ_ERRORS, ReadError):
        return None
