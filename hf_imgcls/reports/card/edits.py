"""A README.md that people and runs write together: one generated block between two comments, all else is people's.

The opening comment holds digests of what was generated: a block, a key of the metadata or a result of the model index
with another digest, or none, is a person's and survives the next run and the next push.
"""

import hashlib
import json
import re
from typing import Any, NamedTuple

import yaml
from huggingface_hub.utils import yaml_dump

_INDEX = "model-index"
_BEGIN = (
    "<!-- hf-imgcls: generated, and renewed by the next run or push. Write above or below this part, or change the\n"
    "metadata: that stays. If you edit this part, it stays as you leave it, and the new one is written beside it.\n"
)
_END = "<!-- hf-imgcls: end of the generated part -->"
_FRONT = re.compile(r"\A\s*---[ \t]*\n(.*?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_BLOCK = re.compile(rf"<!-- hf-imgcls: generated,.*?(\{{.*?)-->(.*?)(?:{_END}|\Z)", re.DOTALL)


class Card(NamedTuple):
    """A card in parts, or only what people have written into one.

    Attributes:
        metadata: the YAML text of each key; None for one that was deleted.
        results: of the model index.
        block: the generated part, between `above` and `below`; None in a card that no run wrote.
        record: digests of what was generated: `block`, `metadata` by key, and `results`.
    """

    metadata: dict[str, str | None]
    results: list[dict]
    above: str
    block: str | None
    below: str
    record: dict[str, Any]


def digest(value: Any) -> str:
    """Of text, whatever editors do to the ends of its lines, or of plain values."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256("\n".join(map(str.rstrip, text.strip().split("\n"))).encode()).hexdigest()[:12]


def new_card(metadata: dict[str, Any], block: str) -> Card:
    """A card as a run generates it, from plain values."""
    results = [result for model in metadata.get(_INDEX, []) for result in model["results"]]
    keys = {key: _as_yaml(key, value) for key, value in metadata.items() if key != _INDEX}
    record = {
        "block": digest(block),
        "metadata": {key: digest(text) for key, text in keys.items()},
        "results": list(map(digest, results)),
    }
    return Card(keys, results, "", block, "", record)


def front_matter(content: str) -> tuple[dict[str, Any], str, str]:
    """The metadata of a card, as values and as YAML, and its text.

    Raises:
        ValueError: the metadata is no YAML mapping.
    """
    content = content.removeprefix("\ufeff").replace("\r\n", "\n")
    front = _FRONT.match(content)
    if not front:
        return {}, "", content
    try:
        values = yaml.safe_load(front[1]) or {}
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    if not isinstance(values, dict):
        raise ValueError("its metadata is no mapping")
    return values, front[1], content[front.end() :]


def read_card(content: str) -> Card:
    """Take a card apart; raises ValueError as `front_matter`."""
    values, front, text = front_matter(content)
    # A comment goes with the key before it, which is a person's then.
    chunks = [chunk.strip() for chunk in re.split(r"^(?=[^\s#-])", front, flags=re.MULTILINE)]
    metadata = {chunk.partition(":")[0].strip("'\" "): chunk for chunk in chunks if chunk}
    try:
        results = [result for model in values[_INDEX] for result in model["results"]]
        del metadata[_INDEX]
    except (KeyError, TypeError):  # none, or not as the Hub has it: then it stays a key of a person's
        results = []
    found = _BLOCK.search(text)
    if not found:
        return Card(metadata, results, text.strip(), None, "", {})
    try:
        record = json.loads(found[1])
    except json.JSONDecodeError:  # damaged by hand: all of the card counts as a person's
        record = {}
    return Card(metadata, results, text[: found.start()].strip(), found[2].strip(), text[found.end() :].strip(), record)


def write_out(card: Card, name: str) -> str:
    """A card of the model `name` as the content of README.md."""
    front = list(card.metadata.values())
    if card.results:
        front.append(_as_yaml(_INDEX, [{"name": name, "results": card.results}]))
    begin = f"{_BEGIN}{json.dumps(card.record, separators=(',', ':'))} -->"
    parts = ["\n".join(["---", *front, "---"]), card.above, begin, card.block, _END, card.below]
    return "\n\n".join(part for part in parts if part) + "\n"


def by_hand(card: Card) -> Card:
    """What people have written since a card was generated; the block only if they edited it."""
    known, generated = card.record.get("metadata", {}), card.record.get("results", [])
    keys = {key: text for key, text in card.metadata.items() if digest(text) != known.get(key)}
    keys |= {key: None for key in known if key not in card.metadata}
    if generated and not card.results:
        keys.setdefault(_INDEX)
    added = [result for result in card.results if digest(result) not in generated]
    edited = card.block is not None and digest(card.block) != card.record.get("block")
    return Card(keys, added, card.above, card.block if edited else None, card.below, {})


def renew(fresh: Card, people: Card) -> Card:
    """A generated card with what people have written; a block that they edited stays."""
    metadata = {**people.metadata, **fresh.metadata, **people.metadata}  # people's keys first
    results = fresh.results + [result for result in people.results if result not in fresh.results]
    return Card(
        {key: text for key, text in metadata.items() if text is not None},
        [] if _INDEX in metadata else results,
        people.above,
        fresh.block if people.block is None else people.block,
        people.below,
        fresh.record,
    )


def combine(mine: Card, theirs: Card) -> tuple[Card, bool]:
    """What people have written into two cards; where both changed the same key or the block, the first one's counts.

    Returns:
        also whether something of the second one's is lost by that.
    """
    both = Card(
        {**theirs.metadata, **mine.metadata},
        mine.results + [result for result in theirs.results if result not in mine.results],
        _join(mine.above, theirs.above),
        theirs.block if mine.block is None else mine.block,
        _join(mine.below, theirs.below),
        {},
    )
    lost = theirs.block not in (None, both.block) or not theirs.metadata.items() <= both.metadata.items()
    return both, lost


def _as_yaml(key: str, value: Any) -> str:
    return yaml_dump({key: value}, sort_keys=False).strip()


def _join(mine: str, theirs: str) -> str:
    return max(mine, theirs, key=len) if mine in theirs or theirs in mine else f"{mine}\n\n{theirs}"
