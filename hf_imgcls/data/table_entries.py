"""Images that a table names by path, as entries of image files."""

import os
from pathlib import Path

from hf_imgcls.data.datafiles import Rows
from hf_imgcls.data.folders import split_of
from hf_imgcls.data.groups import group_namer
from hf_imgcls.data.paths import Paths
from hf_imgcls.data.rows import Entry, entry
from hf_imgcls.errors import InputError


def list_entries(rows: Rows, columns: tuple[str, str, str | None], base: Path, root: Path) -> list[Entry]:
    """The images of a table's rows.

    Args:
        columns: those of the image, the label and the group.
        base: the folder that paths start from.
        root: of the data, from which names start.
    """
    image, label, group = columns
    name_group = group_namer(rows.features[group]) if group else None
    start, above, entries, paths = os.path.abspath(base), os.path.relpath(base, root), [], Paths(base)
    for number, row in enumerate(rows):
        given = row[image] if isinstance(row[image], str) else (row[image] or {}).get("path")
        member = name_group(row[group]) if group else None
        if not given:  # found bad with the others
            entries.append(Entry(None, f"row {number}", row[label], -1, 0, member))
            continue
        given = paths.near(given) or given
        name = os.path.relpath(given, root) if os.path.isabs(given) else os.path.normpath(os.path.join(above, given))
        path = os.path.normpath(os.path.join(start, given))
        entries.append(entry(path, name.replace(os.sep, "/"), row[label])._replace(group=member))
    if not entries:
        raise InputError(f"data.path: no rows in {base}")
    return entries


def by_split_folder(entries: list[Entry]) -> dict[str | None, list[Entry]]:
    """Entries per split folder that they lie in; all under None where that does not tell."""
    groups: dict[str | None, list[Entry]] = {}
    for each in entries:
        groups.setdefault(split_of(each.name.split("/")[0]), []).append(each)
    return groups if len(groups) > 1 and None not in groups else {None: entries}
