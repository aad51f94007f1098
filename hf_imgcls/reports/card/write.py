"""The model card: README.md of the output folder, written from what the run measured, with what people wrote kept."""

import glob
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hf_imgcls.machine import say
from hf_imgcls.reports.card.edits import merge
from hf_imgcls.reports.card.limits import limits_section
from hf_imgcls.reports.card.metadata import base_of, metadata
from hf_imgcls.reports.card.parts import INDEX, Card, Part, digest, new_card, read_card, write_out
from hf_imgcls.reports.card.results import headline, results_section
from hf_imgcls.reports.card.training import training_section
from hf_imgcls.store import RECIPE, SPLITS, own_code, read_json
from hf_imgcls.words import Text, listed, plain

CARD = "README.md"
_ABOUT, _USE = "About this card: edits", "Use: code"


def write_card(folder: Path, recipe, results: dict[str, Any]) -> None:
    """Write a run's card, and keep what people have written into the one that was there before.

    That is the card in the folder, or in the run that was moved aside for this one; `card.parts` says how a person's
    parts are told from a run's.

    Args:
        results: the content of results.json; with `breakdown` the card has classes and confusions.
    """
    name = recipe.training.hub_model_id or folder.resolve().name
    splits = folder / SPLITS
    results = {**results, "per_class": read_json(splits)["per_class"] if splits.is_file() else {}}
    _save(folder, new_card(metadata(recipe, results, name), _text(folder, recipe, results, name)), _card_before(folder))


def prepare_card(folder: Path, repository: str, on_hub: Path | None = None) -> None:
    """Before a push: the card names the repository, and has what people have written into the card that is there.

    Args:
        repository: `user/model`.
        on_hub: the repository's README.md, downloaded; None where it has none.
    """
    card = _read(folder / CARD, folder) if (folder / CARD).is_file() else None
    if card is None:
        return  # none, or a person's own that is no card of a run: it goes up as it is
    name = repository.rpartition("/")[2]
    card = _changed(card, _USE, lambda text: re.sub(r'(?<=model=)"[^"]*"', f'"{repository}"', text))
    card = _changed(card, INDEX, lambda text: re.sub(r"(?<=^- name: ).*", json.dumps(name), text, flags=re.MULTILINE))
    _save(folder, card, on_hub)


def _save(folder: Path, card: Card, before: Path | None) -> None:
    earlier = _read(before, folder) if before else None
    card = merge(card, earlier) if earlier else card
    card = _changed(card, _ABOUT, lambda _: _about(card.rewritten()))
    draft = folder / f"{CARD}.part"
    draft.write_text(write_out(card), encoding="utf-8", newline="\n")
    draft.replace(folder / CARD)


def _read(file: Path, folder: Path) -> Card | None:
    """A card in parts; one that cannot be taken apart is kept in the folder under a free name."""
    try:
        return read_card(file.read_text(encoding="utf-8"))
    except ValueError as error:  # neither text nor YAML
        kept = next(p for n in range(1, 10**6) if not (p := folder / f"README.before-{n}.md").exists())
        shutil.copyfile(file, kept)
        say(f"{CARD}: what people wrote into it could not be carried over ({error}); it is kept as {kept.name}")
        return None


def _changed(card: Card, key: str, change: Callable[[str], str]) -> Card:
    """A card with one of the run's parts said otherwise; a person's is left alone."""
    kinds = {"metadata": card.metadata, "text": card.text}
    record = dict(card.record)
    for kind, parts in kinds.items():
        kinds[kind] = [Part(key, change(part.text)) if part.key == key else part for part in parts]
        record[kind] = {**record.get(kind, {}), **{p.key: digest(p.text) for p in kinds[kind] if p.key == key}}
    return Card(kinds["metadata"], kinds["text"], record)


def _card_before(folder: Path) -> Path | None:
    """The folder's card, or the newest one of the runs that were moved aside for the one in it."""
    if (folder / CARD).is_file():
        return folder / CARD
    folder = folder.resolve()
    aside = [
        place / CARD
        for place in folder.parent.glob(f"{glob.escape(folder.name)}.*")
        if place.name.removeprefix(f"{folder.name}.").isdigit() and (place / CARD).is_file() and _was_in(place, folder)
    ]
    return max(aside, key=lambda file: file.stat().st_mtime, default=None)


def _was_in(place: Path, folder: Path) -> bool:
    """Whether a run was trained in another folder than the one it lies in: it was moved there."""
    recipe = read_json(place / RECIPE) if (place / RECIPE).is_file() else {}
    return Path(recipe.get("training", {}).get("output_dir", "")).name == folder.name


def _text(folder: Path, recipe, results: dict[str, Any], name: str) -> Text:
    title = " ".join((recipe.description or name.rpartition("/")[2]).split())
    verdict = results["parity"]
    distrusted = verdict is not None and not verdict["passed"]
    return [
        ("Title", f"# {title}"),
        ("What it is", _what(folder, recipe, results)),
        ("What it is: result", headline(results)),
        *([("Warning", "**Parity check failed: no metric below holds for the saved model.**")] * distrusted),
        *_use(folder, name),
        *results_section(folder, results),
        *limits_section(results, recipe.loss.class_weights is not None),
        *training_section(folder, recipe, results),
        ("About this card", "## About this card"),
        (_ABOUT, _about([])),
    ]


def _what(folder: Path, recipe, results: dict[str, Any]) -> str:
    file = folder / "config.json"
    settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    network = settings.get("backbone") or settings
    names = [network.get("architecture"), *(network.get("architectures") or [])]
    kind = next((f"A `{name}`" for name in names if name), "An image classifier")
    size = results["stages"][-1]["parameters"] if results["stages"] else 0
    parameters = f" of {size:,} parameters" if size else ""
    head = ", with a head of its own," if "backbone" in settings else ""
    labels = results["labels"]
    base = base_of(recipe.model).name
    if recipe.model.from_scratch:
        origin = "It was trained from scratch."
    elif isinstance(base, str):
        origin = f"It started from the weights of [{base}](https://huggingface.co/{base})."
    else:
        origin = f"It started from the weights `{Path(recipe.model.checkpoint).name}`."
    named = listed(map(plain, labels), 20)
    return f"{kind}{parameters}{head} that tells images of {len(labels)} classes apart: {named}. {origin}"


def _use(folder: Path, name: str) -> Text:
    code = own_code(folder)
    trust = ", trust_remote_code=True" if code else ""
    lines = [
        "```python",
        "from transformers import pipeline",
        "",
        f'classify = pipeline("image-classification", model="{name}"{trust})',
        'for answer in classify("photo.jpg", top_k=3):',
        "    print(f\"{answer['score']:.3f} {answer['label']}\")",
        "```",
    ]
    text = [("Use", "## Use"), (_USE, "\n".join(lines))]
    if code:
        said = (
            f"The network is no part of transformers: its code comes with it, in `{code.partition('.')[0]}.py`, and is "
            "run only with `trust_remote_code=True`. Read it first."
        )
        text.append(("Use: own code", said))
    return text


def _about(rewritten: list[str]) -> str:
    said = (
        "Written by hf-imgcls from what the run measured. Whatever you change, add or delete here, in the metadata "
        "too, stays as you leave it when the model is trained or pushed again; the rest is renewed."
    )
    places = ", ".join(dict.fromkeys(key.partition(":")[0] for key in rewritten))
    kept = f" Changed by hand and not renewed: {places}; figures there may be those of an earlier run."
    return said + (kept if places else "")
