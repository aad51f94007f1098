"""The page of a pushed model that runs in the browser, as a static Space: nothing computes on a server."""

from functools import partial
from pathlib import Path

from hf_imgcls.publishing.hub import Files
from hf_imgcls.publishing.space_repository import SpaceKind, push_space, space_card
from hf_imgcls.reports import CARD

_PAGE = SpaceKind(
    "web",
    "web page",
    "drop a photo or use the camera, see the labels. Images stay in the browser: they are sent nowhere.",
    {"sdk": "static", "app_file": "index.html"},
)


def push_web(folder: Path, name: str, web: Path) -> str:
    """Push the folder of an export for browsers as the Space `owner/name-web`; returns the Space's name."""
    return push_space(name, _PAGE, partial(_files, folder, name, web))[0]


def _files(folder: Path, name: str, web: Path, before: Path | None) -> Files:
    """All that the export has, with the Space's card in place of its README."""
    files = {path.relative_to(web).as_posix(): path for path in sorted(web.rglob("*")) if path.is_file()}
    return {**files, CARD: space_card(folder, name, _PAGE, before).encode()}
