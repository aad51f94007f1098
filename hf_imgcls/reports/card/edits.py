"""What people write into a model card stays there when a run writes it again, and when it meets the one on the Hub."""

from collections.abc import Iterable

import yaml
from huggingface_hub.utils import yaml_dump

from hf_imgcls.reports.card.parts import INDEX, Card, Part, digest, result_digest, results_of


def merge(fresh: Card, before: Card) -> Card:
    """A card with everything that people wrote into another one, each at its place.

    Args:
        fresh: what a run has just written, or a card of it on disk that people may have changed as well.
        before: an earlier card of the run, or the one on the Hub.
    """
    fresh, before = _merge_results(fresh, before)
    dropped = _dropped(fresh) | _dropped(before)
    metadata = _together(fresh.metadata, before.metadata, before.record.get("metadata", {}), dropped)
    text = _together(fresh.text, before.text, before.record.get("text", {}), dropped)
    return Card(_one_of_each(metadata, fresh.metadata), text, fresh.record)


def _dropped(card: Card) -> set[str]:
    """What people had written when the card was last written, and have taken out since."""
    return set(card.record.get("by_hand", [])) - {digest(part.text) for part in [*card.metadata, *card.text]}


def _together(fresh: list[Part], before: list[Part], written: Iterable[str], dropped: set[str]) -> list[Part]:
    """The parts of `before` in their order, the run's renewed, and what is new of `fresh` before what follows it."""
    renewed = {part.key: part for part in fresh if part.key}
    same = {digest(part.text): part for part in fresh if part.key and part.key not in written}
    before = [same.get(digest(part.text), part) if part.key is None else part for part in before]
    merged = [
        renewed.get(part.key, part)
        for part in before
        if (part.key in renewed if part.key else digest(part.text) not in dropped)
    ]
    for place, part in enumerate(fresh):
        there = [other.identity for other in merged]
        if part.identity in there or part.key in written or (part.key is None and digest(part.text) in dropped):
            continue
        follower = next((other.identity for other in fresh[place + 1 :] if other.identity in there), None)
        merged.insert(there.index(follower) if follower else len(merged), part)
    return merged


def _one_of_each(metadata: list[Part], preferred: list[Part]) -> list[Part]:
    """Each key of the metadata once: a person's before the run's; of two persons' the other becomes a comment."""
    by_hand = {part.name for part in metadata if part.key is None and part.name}
    first = {part.name: part for part in metadata if part.key is None} | {
        part.name: part for part in preferred if part.key is None and part in metadata
    }
    kept = []
    for part in metadata:
        if part.key is None and part.name and part != first[part.name]:
            part = Part(None, "\n".join(f"# {line}" for line in part.text.splitlines()))
        if part.key is None or part.name not in by_hand:
            kept.append(part)
    return kept


def _merge_results(fresh: Card, before: Card) -> tuple[Card, Card]:
    """Both cards, the fresh one with the results that people put into the model index of the other."""
    mine = next((part for part in fresh.metadata if part.key == INDEX), None)
    theirs = next((part for part in before.metadata if part.name == INDEX), None)
    if not mine or not theirs:
        return fresh, before
    try:
        index, other = (yaml.safe_load(part.text)[INDEX] for part in (mine, theirs))
        known = {*before.record.get("results", []), *results_of(index)}
        added = [
            {**result, "metrics": metrics}
            for model in other
            for result in model["results"]
            if (metrics := [m for m in result["metrics"] if result_digest(result, m) not in known])
        ]
    except (TypeError, KeyError):
        return fresh, before  # no index as the Hub has it: a person's own affair
    if theirs.key is None and "#" in theirs.text:
        return fresh, before  # comments would be lost
    index[0]["results"] += added
    part = Part(INDEX, yaml_dump({INDEX: index}, sort_keys=False).strip())
    digests = {**fresh.record["metadata"], INDEX: digest(part.text)}
    fresh = fresh._replace(
        metadata=[part if p is mine else p for p in fresh.metadata], record={**fresh.record, "metadata": digests}
    )
    return fresh, before._replace(metadata=[Part(INDEX, p.text) if p is theirs else p for p in before.metadata])
