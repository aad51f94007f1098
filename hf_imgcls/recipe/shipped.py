"""The recipes that come with the package: listing and copying them."""

import json
import shutil
from pathlib import Path

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe.schema import json_schema
from hf_imgcls.store import write_json

SCHEMA = "recipe.schema.json"
_DATA = "recipes/digits"  # the data that comes along, as recipes name it


def shipped_folder() -> Path:
    """Where the recipes, the digits and the configurations for accelerate lie: in an installation or a checkout."""
    own = Path(__file__).with_name("shipped")
    return own if own.is_dir() else Path(__file__).parents[2] / "recipes"


def shipped_recipes() -> dict[str, Path]:
    """The files of the shipped recipes, by name."""
    return {file.stem: file for file in sorted(shipped_folder().glob("*.json")) if file.name != SCHEMA}


def describe_recipes() -> list[str]:
    """A line for each shipped recipe: its name and its description."""
    found = shipped_recipes()
    width = max(map(len, found))
    return [f"{name:{width}}  {json.loads(file.read_text())['description']}" for name, file in found.items()]


def copy_recipe(name: str, output: Path) -> list[Path]:
    """Copy a shipped recipe, with the JSON schema and, where it uses them, the digits beside it.

    Returns:
        What was written; a schema or digits that were there already stay as they are.
    """
    found = shipped_recipes()
    if name not in found:
        raise InputError(f"recipes: there is no {name!r}{nearest(name, found)}; hf-imgcls recipes lists them")
    if output.exists():
        raise InputError(f"recipes: {output} exists already; --output names another file")
    text = found[name].read_text(encoding="utf-8")
    digits, schema = output.parent / Path(_DATA).name, output.parent / SCHEMA
    written = [output]
    output.parent.mkdir(parents=True, exist_ok=True)
    if _DATA in text and not digits.exists():
        shutil.copytree(found[name].parent / digits.name, digits, ignore=shutil.ignore_patterns("*.py"))
        written.append(digits)
    if not schema.exists():
        write_json(schema, json_schema())
        written.append(schema)
    # Paths in a recipe are relative to the working directory.
    output.write_text(text.replace(f'"{_DATA}"', json.dumps(digits.as_posix())), encoding="utf-8")
    return written
