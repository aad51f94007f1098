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

INDEX = "model-index"
_BEGIN = (
    "<!-- hf-imgcls: generated, and renewed by the next run or push. Write above or below this part, or change the\n"
    "metadata: that stays. If you edit this part, it stays as you leave it, and the new one is written beside it.\n"
)
_END = "<!-- hf-imgcls: end of the generated part -->"
_FRONT = re.compile(r"\A\s*---[ \t]*\n(.*?)^---[ \t]*$\n?", re.DOTALL | re.MULTILINE)
_BLOCK = re.compile(rf"<!-- hf-imgcls: generated,.*?(\{{.*?)-->(.*?)(?:{_END}|\Z)", re.DOTALL)


class Card(NamedTuple):
    """A card in parts.

    Attributes:
        metadata: the YAML text of each key.
        block: the generated part, between `above` and `below`; None in a card that no run wrote.
        record: digests of what was generated: `block`, `metadata` by key, `results` of the model index; and `by_hand`,
            of what people had written by the last push.
    """

    metadata: dict[str, str]
    above: str
    block: str | None
    below: str
    record: dict[str, Any]


class ByHand(NamedTuple):
    """What people have written: keys that were added, changed, or (None) deleted; the block only if it was edited."""

    metadata: dict[str, str | None]
    results: list[dict]
    above: str
    block: str | None
    below: str


NOTHING = ByHand({}, [], "", None, "")


def digest(value: Any) -> str:
    """Of text, whatever editors do to the ends of its lines, or of plain values."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256("\n".join(map(str.rstrip, text.strip().split("\n"))).encode()).hexdigest()[:12]


def new_card(metadata: dict[str, Any], block: str) -> Card:
    """A card as a run generates it, from plain values."""
    keys = {key: _as_yaml(key, value) for key, value in metadata.items()}
    record = {
        "block": digest(block),
        "metadata": {key: digest(text) for key, text in keys.items() if key != INDEX},
        "results": [digest(result) for model in metadata.get(INDEX, []) for result in model["results"]],
        "by_hand": digest(NOTHING),
    }
    return Card(keys, "", block, "", record)


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
    _, front, text = front_matter(content)
    # A comment goes with the key before it, which is a person's then.
    chunks = [chunk.strip() for chunk in re.split(r"^(?=[^\s#-])", front, flags=re.MULTILINE)]
    metadata = {chunk.partition(":")[0].strip("'\" "): chunk for chunk in chunks if chunk}
    found = _BLOCK.search(text)
    if not found:
        return Card(metadata, text.strip(), None, "", {})
    try:
        record = json.loads(found[1])
    except json.JSONDecodeError:  # damaged by hand: all of the card counts as a person's
        record = {}
    return Card(metadata, text[: found.start()].strip(), found[2].strip(), text[found.end() :].strip(), record)


def write_out(card: Card) -> str:
    """A card as the content of README.md."""
    front = "\n".join(card.metadata.values())
    begin = f"{_BEGIN}{json.dumps(card.record, separators=(',', ':'))} -->"
    parts = [f"---\n{front}\n---", card.above, begin, card.block, _END, card.below]
    return "\n\n".join(part for part in parts if part) + "\n"


def by_hand(card: Card) -> ByHand:
    """What people have written into a card since it was generated."""
    known, results = card.record.get("metadata", {}), _results(card)
    keys = {key: text for key, text in card.metadata.items() if key != INDEX and digest(text) != known.get(key)}
    keys |= {key: None for key in known if key not in card.metadata}
    if results is None:
        keys[INDEX] = card.metadata.get(INDEX)
    added = [result for result in results or [] if digest(result) not in card.record.get("results", [])]
    edited = card.block is not None and digest(card.block) != card.record.get("block")
    return ByHand(keys, added, card.above, card.block if edited else None, card.below)


def renew(fresh: Card, people: ByHand, name: str) -> Card:
    """A generated card of the model `name` with what people have written; a block that they edited stays."""
    results = [result for result in _results(fresh) or [] if digest(result) in fresh.record["results"]]
    results += [result for result in people.results if result not in results]
    index = {INDEX: _as_yaml(INDEX, [{"name": name, "results": results}])} if results else {}
    generated = {key: text for key, text in fresh.metadata.items() if key != INDEX} | index
    metadata = {**people.metadata, **generated, **people.metadata}  # people's keys first
    block = fresh.block if people.block is None else people.block
    return Card(
        {k: text for k, text in metadata.items() if text is not None}, people.above, block, people.below, fresh.record
    )


def combine(here: Card, there: Card) -> tuple[ByHand, bool]:
    """What people have written into the folder's card and into the one on the Hub, and whether they contradict.

    Where only one of them has changed since the last push, that one counts; otherwise both, first the folder's.
    """
    mine, theirs, pushed = by_hand(here), by_hand(there), here.record["by_hand"]
    if digest(theirs) == pushed:
        return mine, False
    if digest(mine) == pushed:
        undone = {key: there.metadata.get(key) for key in mine.metadata}
        return theirs._replace(metadata={**undone, **theirs.metadata}), False
    contradict = any(mine.metadata.get(key, text) != text for key, text in theirs.metadata.items())
    contradict |= None not in (mine.block, theirs.block) and mine.block != theirs.block
    both = ByHand(
        {**theirs.metadata, **mine.metadata},
        mine.results + [result for result in theirs.results if result not in mine.results],
        _join(mine.above, theirs.above),
        theirs.block if mine.block is None else mine.block,
        _join(mine.below, theirs.below),
    )
    return both, contradict


def _results(card: Card) -> list[dict] | None:
    """The results of the model index; None where it is missing but was generated, or is not as the Hub has it."""
    if INDEX not in card.metadata:
        return None if card.record.get("results") else []
    try:
        return [result for model in yaml.safe_load(card.metadata[INDEX])[INDEX] for result in model["results"]]
    except (TypeError, KeyError):
        return None


def _as_yaml(key: str, value: Any) -> str:
    return yaml_dump({key: value}, sort_keys=False).strip()


def _join(mine: str, theirs: str) -> str:
    return max(mine, theirs, key=len) if mine in theirs or theirs in mine else f"{mine}\n\n{theirs}"
