"""A model card in parts, and which of them a run wrote.

A card is a list of parts: the keys of its metadata, and the blocks of its text (a heading, a paragraph, a table, a code
block: what blank lines separate). The last lines of a card, a comment that is not shown, hold a digest of every part
that a run wrote. A part that still has its digest belongs to the run; one that has another, or none, was written by a
person; one that is missing was deleted or rewritten by a person.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import yaml
from huggingface_hub.repocard import REGEX_YAML_BLOCK
from huggingface_hub.utils import yaml_dump

INDEX = "model-index"
_RECORD = re.compile(r"<!-- hf-imgcls: [^{]*(\{.*?\})\s*-->", re.DOTALL)
_WHAT_FOR = "the parts of this card that it wrote; what is changed, added or deleted by hand stays so"


class Part(NamedTuple):
    """A key of the metadata or a block of the text; `key` is the run's name for it, None if a person wrote it."""

    key: str | None
    text: str

    @property
    def identity(self) -> str:
        return self.key or digest(self.text)

    @property
    def name(self) -> str | None:
        """Of a part of the metadata: its key in the YAML; None for a comment."""
        return None if self.text.startswith("#") else self.text.partition(":")[0].strip("'\" ")


class Card(NamedTuple):
    """A card in parts.

    Attributes:
        record: digests of what a run wrote: `metadata` and `text` by key, `results` of the model index; and of what
            people had written by then, `by_hand`.
    """

    metadata: list[Part]
    text: list[Part]
    record: dict[str, Any]

    def rewritten(self) -> list[str]:
        """Keys of the parts that a run wrote and a person has changed or deleted since."""
        held = {part.key for part in [*self.metadata, *self.text]}
        return [key for kind in ("metadata", "text") for key in self.record.get(kind, {}) if key not in held]


def digest(text: str) -> str:
    """Of a part, whatever editors do to the ends of its lines."""
    plain = "\n".join(line.rstrip() for line in text.strip().split("\n"))
    return hashlib.sha256(plain.encode()).hexdigest()[:12]


def new_card(metadata: dict[str, Any], text: Iterable[tuple[str, str]]) -> Card:
    """What a run has to say, as a card.

    Args:
        metadata: as plain Python values.
        text: keys and what stands under them; what blank lines separate becomes parts of its own.
    """
    keys = [Part(key, yaml_dump({key: value}, sort_keys=False).strip()) for key, value in metadata.items()]
    blocks = [
        Part(f"{key} {number}" if number > 1 else key, block)
        for key, piece in text
        for number, block in enumerate(_blocks(piece), 1)
    ]
    record = {kind: {p.key: digest(p.text) for p in parts} for kind, parts in (("metadata", keys), ("text", blocks))}
    return Card(keys, blocks, {**record, "results": results_of(metadata.get(INDEX, []))})


def read_card(content: str) -> Card:
    """Take a card apart.

    Raises:
        ValueError: its metadata is no YAML mapping.
    """
    content = content.removeprefix("\ufeff").replace("\r\n", "\n")
    content, record = _take_record(content)
    front = REGEX_YAML_BLOCK.search(content)
    try:
        if front and not isinstance(yaml.safe_load(front[2]) or {}, dict):
            raise ValueError("its metadata is no mapping")
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    keys = [Part(None, chunk) for chunk in _chunks(front[2])] if front else []
    own = record.get("metadata", {})
    keys = [Part(p.name, p.text) if own.get(p.name) == digest(p.text) else p for p in keys]
    left, blocks = dict(record.get("text", {})), []
    for block in _blocks(content[front.end() :] if front else content):
        key = next((key for key, value in left.items() if value == digest(block)), None)
        left.pop(key, None)
        blocks.append(Part(key, block))
    return Card(keys, blocks, record)


def write_out(card: Card) -> str:
    """A card as the content of README.md."""
    by_hand = [digest(part.text) for part in [*card.metadata, *card.text] if part.key is None]
    record = json.dumps({**card.record, "by_hand": by_hand}, separators=(",", ":"))
    front = "\n".join(part.text for part in card.metadata)
    text = "\n\n".join(part.text for part in card.text)
    return f"---\n{front}\n---\n\n{text}\n\n<!-- hf-imgcls: {_WHAT_FOR}\n{record} -->\n"


def results_of(index: list[dict]) -> list[str]:
    return [
        result_digest(result, metric) for model in index for result in model["results"] for metric in result["metrics"]
    ]


def result_digest(result: dict, metric: dict) -> str:
    return digest(json.dumps([{**result, "metrics": None}, metric], sort_keys=True, default=str))


def _take_record(content: str) -> tuple[str, dict[str, Any]]:
    """A card without its last record, and the record."""
    for found in reversed(list(_RECORD.finditer(content))):
        try:
            return f"{content[: found.start()]}\n\n{content[found.end() :]}", json.loads(found[1])
        except json.JSONDecodeError:
            continue  # one that was damaged by hand counts as a person's text
    return content, {}


def _chunks(front: str) -> list[str]:
    """The top-level keys of YAML, and comments that stand before them, as they are written."""
    chunks: list[str] = []
    waiting: list[str] = []
    for line in front.split("\n"):
        if not line.strip() or line.startswith("#"):
            waiting += [line] if line.strip() else []
        elif line[0] in " \t-" and chunks:
            chunks[-1] = "\n".join([chunks[-1], *waiting, line])
            waiting = []
        else:
            chunks += [*waiting, line]
            waiting = []
    return [*chunks, *waiting]


def _blocks(text: str) -> list[str]:
    """What blank lines separate; code between fences is one block."""
    blocks: list[list[str]] = [[]]
    fence = ""
    for line in text.split("\n"):
        if not line.strip() and not fence:
            blocks.append([])
            continue
        blocks[-1].append(line)
        mark = re.match(r" {0,3}(`{3,}(?!.*`)|~{3,})(.*)", line)
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not mark[2].strip():
            fence = ""
    return ["\n".join(block) for block in blocks if block]
