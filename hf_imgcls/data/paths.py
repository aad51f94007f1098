"""Which file a value of a table names: as it is, with the separators of Windows, or without its ending."""

import os
from pathlib import Path

from PIL import Image

from hf_imgcls.data.datafiles import SourcePart, head
from hf_imgcls.images import is_image_file


class Paths:
    """Images named relative to a folder; what lies in it is listed once."""

    def __init__(self, base: Path):
        self._base = base
        self._names: dict[str, dict[str, list[str]]] = {}  # of each folder, the files by their names without endings

    def exact(self, value: str) -> str | None:
        """The relative path of a file that exists, also where it is written with backslashes."""
        written = (value, value.replace("\\", "/")) if "\\" in value else (value,)
        return next((each for each in written if os.path.isfile(os.path.join(self._base, each))), None)

    def near(self, value: str) -> str | None:
        """The same, or else of the only image that has this name and an ending."""
        if found := self.exact(value):
            return found
        if os.path.splitext(value)[1].lower() in Image.registered_extensions():  # it has its ending
            return None
        folder, _, stem = value.replace("\\", "/").rpartition("/")
        place = os.path.join(self._base, folder)
        if place not in self._names:
            self._names[place] = _by_stem(place)
        images = [name for name in self._names[place].get(stem, ()) if is_image_file(os.path.join(place, name))]
        return os.path.join(folder, images[0]) if len(images) == 1 else None


def path_columns(part: SourcePart) -> list[str]:
    """The columns of texts most of which name files; those of names without endings only where there are no others."""
    if part.base is None:
        return []
    paths = Paths(part.base)
    texts = {
        name: head(part.rows, name)
        for name, feature in part.rows.features.items()
        if getattr(feature, "dtype", None) in ("string", "large_string")
    }
    for find in (paths.exact, paths.near):
        if found := [name for name, values in texts.items() if sum(map(bool, map(find, values))) > len(values) / 2]:
            return found
    return []


def _by_stem(place: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    try:
        with os.scandir(place) as entries:
            for name in sorted(entry.name for entry in entries if entry.is_file()):
                found.setdefault(os.path.splitext(name)[0], []).append(name)
    except (OSError, ValueError):  # no folder, or no name of one
        return {}
    return found
