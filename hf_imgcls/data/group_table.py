"""Groups of the images of class folders, from the tables that lie beside them."""

from pathlib import Path

from hf_imgcls.data.columns import find_grouped
from hf_imgcls.data.datafiles import load_files
from hf_imgcls.data.paths import path_columns
from hf_imgcls.data.rows import Entry
from hf_imgcls.data.table_entries import list_entries
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import DataSection
from hf_imgcls.words import listed, plural


def add_groups(found: dict[str, list[Entry]], path: Path, data: DataSection, tables: list[Path]):
    """The images of class folders with the groups that tables name for them, and a note.

    Raises:
        InputError: no table has the column, or not every image is in one.
    """
    if not tables:
        raise InputError(
            f"data.group_column: {path} has class folders and no table with a column {data.group_column!r}; write one "
            "beside them, metadata.csv with the columns file_name and "
            f"{data.group_column}, or leave it out"
        )
    parts = load_files(tables, streaming=False)
    having = [part for part in parts if data.group_column in part.rows.features] or parts[:1]
    named = {}
    for part in having:
        columns = find_grouped(part.rows.features, data, part.where, path_columns(part).__contains__)
        rows = part.rows.select_columns([*columns])
        named |= {
            each.name: each.group for each in list_entries(rows, (columns[0], columns[1], columns[1]), part.base, path)
        }
    unknown = [each.name for entries in found.values() for each in entries if each.name not in named]
    if unknown:
        raise InputError(
            f"data.group_column: {plural(len(unknown), 'image')} of {path} in none of the tables with groups (first: "
            f"{unknown[0]}); give each a row"
        )
    shown = listed(part.where.removeprefix(str(path)).lstrip("/\\ ") for part in having)
    with_groups = {split: [e._replace(group=named[e.name]) for e in entries] for split, entries in found.items()}
    return with_groups, f'groups: column "{data.group_column}" of {shown}'
