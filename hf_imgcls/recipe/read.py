"""The content of a recipe file, JSON or YAML, and the values of overrides; what cannot be read is one line."""

import itertools
import json
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.store import RECIPE, raise_denied

_MOST_BYTES = 10_000_000
_MOST_NESTED = 40  # sections and lists in one another
_IMAGES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".heic")
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".tar")


def read_recipe(path: Path) -> dict:
    """A recipe file's sections; an InputError names the file and the place in it."""
    text = _text(path)
    try:
        content = _yaml(text) if path.suffix.lower() in (".yaml", ".yml") else parse_json(text)
    except json.JSONDecodeError as error:
        why = f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise InputError(f"{path}: not JSON: {why}{_hint(text, error)}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{path}: not YAML: {getattr(error, 'problem', None) or error}{where}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        kind = {list: "a list", str: "a string", type(None): "null"}.get(type(content), "a single value")
        raise InputError(f"{path}: a recipe is a JSON object of sections, found {kind}")
    return content


def parse_json(text: str) -> Any:
    """JSON with unique keys, numbers that are finite, and a depth that can be handled.

    Raises:
        JSONDecodeError: it is no JSON.
        InputError: it is, but of no recipe.
    """
    try:
        content = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except RecursionError:
        raise InputError(f"nested more than {_MOST_NESTED} deep") from None
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError("a number of thousands of digits") from None  # Python's own limit
    check_plain(content)
    return content


def check_plain(content: Any, depth: int = 0) -> None:
    """Refuse what no recipe has and libraries trip over: deep nesting, infinite numbers, text that is no Unicode."""
    if depth > _MOST_NESTED:
        raise InputError(f"nested more than {_MOST_NESTED} deep")
    if isinstance(content, float) and content - content != 0:
        raise InputError(f"a number that is not finite ({content})")
    if isinstance(content, int) and abs(content) >= 2**63:
        raise InputError("an integer of more than 64 bits")
    if isinstance(content, str) and any("\ud800" <= character <= "\udfff" for character in content):
        raise InputError("text with half of a surrogate pair, which is no Unicode")
    for inner in (
        [*content, *content.values()] if isinstance(content, dict) else content if type(content) is list else ()
    ):
        check_plain(inner, depth + 1)


def _text(path: Path) -> str:
    try:
        if (path / RECIPE).is_file():
            raise InputError(f"{path}: the folder of a run, not a recipe; its recipe is {path / RECIPE}")
        if path.is_dir():
            found = {each.suffix.lower() for each in itertools.islice(path.rglob("*"), 1000)}
            if not found.isdisjoint((*_IMAGES, *_TABLES)):
                kind, name = "images" if not found.isdisjoint(_IMAGES) else "data", shlex.quote(str(path))
                raise InputError(
                    f"{path}: a folder of {kind}, not a recipe; hf-imgcls fit {name} needs none, hf-imgcls init {name} "
                    "writes one"
                )
            raise InputError(f"{path}: a folder, not a recipe; name a JSON file in it")
        if not path.exists():
            beside = [p.name for p in path.parent.glob("*.json")] if path.parent.is_dir() else []
            raise InputError(f"{path}: no such recipe{nearest(path.name, beside)}")
        if not path.is_file():
            raise InputError(f"{path}: not a regular file")
        if path.suffix.lower() in _IMAGES:
            raise InputError(f"{path}: an image, not a recipe; hf-imgcls predict MODEL {path.name} predicts it")
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # too long a name, a null character, not readable
        raise_denied(error)
        raise InputError(f"recipe {str(path)[:60]!r}: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > _MOST_BYTES:
        raise InputError(f"{path}: larger than {_MOST_BYTES:,} bytes, so it is no recipe")
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"  # as some editors save it
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a JSON file (it is not UTF-8 text)") from None
    if not text.strip():
        raise InputError(f"{path}: empty; hf-imgcls recipes lists recipes to start from")
    return text


def _hint(text: str, error: json.JSONDecodeError) -> str:
    around = text[max(0, error.pos - 1) : error.pos + 2]
    before = text[: error.pos].rstrip()
    if around[1:].startswith(("//", "/*")) or around[1:].startswith("#"):
        return "; JSON has no comments"
    if before.endswith(",") or text[error.pos : error.pos + 1] == ",":
        return "; JSON has no comma before a closing bracket"
    if "{" not in text[:2] and ":" in text:
        return "; if it is YAML, name it .yaml"
    return ""


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict:
    seen = dict(pairs)
    if len(seen) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise InputError(f'duplicate key "{twice}" in one section')
    return seen


def _no_constant(name: str) -> None:
    raise InputError(f"{name} is no number of JSON")


class _Loader(yaml.SafeLoader):
    """YAML as JSON means it: no is the text "no", a date is text, keys are unique, and nothing is repeated by alias."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None, None, "an alias, which a recipe has no use for", self.peek_event().start_mark
            )
        return super().compose_node(parent, index)

    def construct_object_as_json(self, node):
        pairs = [
            (self.construct_object(key, deep=True), self.construct_object(value, deep=True))
            for key, value in node.value
        ]
        wrong = next((key for key, _ in pairs if not isinstance(key, str)), None)
        if wrong is not None:
            raise InputError(f"key {str(wrong)[:60]!r} is no text; put it in quotation marks")
        return _no_duplicates(pairs)


_Loader.yaml_implicit_resolvers = {}
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _Loader.construct_object_as_json)


def _scalar(loader: _Loader, node: yaml.ScalarNode) -> Any:
    """A plain word that is a value of JSON (1e-4, true) is that value; others, and what is quoted, are text."""
    text = loader.construct_scalar(node)
    if node.style is not None:
        return text
    try:
        return None if text in ("", "~") else parse_json(text)
    except json.JSONDecodeError:
        return text


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_SCALAR_TAG, _scalar)


def _yaml(text: str) -> Any:
    try:
        content = yaml.load(text, Loader=_Loader)
    except RecursionError:
        raise InputError(f"nested more than {_MOST_NESTED} deep") from None
    check_plain(content)
    return content
