"""The model card: README.md of the output folder, written from what the run measured, with what people wrote."""

import glob
import re
import shutil
from pathlib import Path
from typing import Any

from hf_imgcls.machine import say
from hf_imgcls.recipe import networks_of
from hf_imgcls.reports.card.edits import Card, by_hand, combine, digest, new_card, read_card, renew, write_out
from hf_imgcls.reports.card.limits import balanced_by, limits_section
from hf_imgcls.reports.card.metadata import base_of, metadata
from hf_imgcls.reports.card.results import beside_accuracy, headline, results_section
from hf_imgcls.reports.card.training import training_section
from hf_imgcls.reports.card.use import use_section
from hf_imgcls.store import RECIPE, SPLITS, read_json, write_text
from hf_imgcls.words import clean, listed, plain, plural

CARD, GENERATED, FROM_HUB = "README.md", "README.generated.md", "README.hub.md"


def write_card(folder: Path, recipe, results: dict[str, Any]) -> None:
    """Write a run's card, with what people have written into the one that was there before.

    A card that cannot be read stays as it is, with the new one beside it.

    Args:
        results: the content of results.json; with `breakdown` the card has classes and confusions.
    """
    name = recipe.training.hub_model_id or folder.resolve().name
    splits = folder / SPLITS
    results = {**results, "per_class": read_json(splits)["per_class"] if splits.is_file() else {}}
    text = "\n\n".join(_text(folder, recipe, results, name))
    card = new_card(metadata(recipe, results), "\n".join(map(clean, text.split("\n"))))
    before = _card_before(folder)
    try:
        people = by_hand(read_card(before.read_text(encoding="utf-8") if before else ""))
    except ValueError as error:  # neither text nor YAML
        new = folder / (GENERATED if before == folder / CARD else CARD)
        say(f"card: {before} cannot be read ({error}) and stays as it is; the new one is {new}")
        return _write(new, card, name)
    _write_renewed(folder, card, people, name)


def prepare_card(folder: Path, repository: str, on_hub: Path | None = None) -> None:
    """Before a push: the card names the repository, and has what people have written into the card that is there.

    Args:
        on_hub: the repository's README.md, downloaded; None where it has none.
    """
    try:
        card = read_card((folder / CARD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return
    if not card.record:
        return  # a person's own, that no run wrote: it goes up as it is
    people = by_hand(card)
    if people.block is None:
        block = re.sub(r'(?<=image-classification", model=)"[^"]*"', f'"{repository}"', card.block)
        card = card._replace(block=block, record={**card.record, "block": digest(block)})
    if on_hub:
        people = _with_hub(folder, people, on_hub)
    _write_renewed(folder, card, people, repository)


def _with_hub(folder: Path, people: Card, on_hub: Path) -> Card:
    try:
        people, lost = combine(people, by_hand(read_card(on_hub.read_text(encoding="utf-8"))))
        why = "both were edited in the same place" if lost else ""
    except ValueError as error:
        why = str(error)
    if why:
        shutil.copyfile(on_hub, folder / FROM_HUB)
        say(f"card: the folder's replaces the one on the Hub ({why}), which is saved as {folder / FROM_HUB}")
    return people


def _write_renewed(folder: Path, card: Card, people: Card, name: str) -> None:
    if people.block not in (None, card.block):
        _write(folder / GENERATED, renew(card, people._replace(block=None)), name)
        say(f"card: the generated part was edited by hand and stays as it is; the new one is in {folder / GENERATED}")
    _write(folder / CARD, renew(card, people), name)


def _write(file: Path, card: Card, name: str) -> None:
    write_text(file, write_out(card, name.rpartition("/")[2]))


def _card_before(folder: Path) -> Path | None:
    """The folder's card, or the newest one of the runs that were moved aside for the one in it."""
    if (folder / CARD).is_file():
        return folder / CARD
    folder, aside = folder.resolve(), []
    for card in folder.parent.glob(f"{glob.escape(folder.name)}.*/{CARD}"):
        file = card.with_name(RECIPE)
        recipe = read_json(file) if file.is_file() else {}
        # A run that was trained in another folder than the one it lies in was moved there.
        moved = Path(recipe.get("training", {}).get("output_dir", "")).name == folder.name
        if moved and card.parent.name.removeprefix(f"{folder.name}.").isdigit():
            aside.append(card)
    return max(aside, key=lambda file: file.stat().st_mtime, default=None)


def _text(folder: Path, recipe, results: dict[str, Any], name: str) -> list[str]:
    title = " ".join((recipe.description or name.rpartition("/")[2]).split()).replace("<", "\\<")
    failed = (results["parity"] or {"passed": True})["passed"] is False
    return [
        f"# {title}",
        _what(folder, recipe, results),
        headline(results),
        *beside_accuracy(results),
        *(["**Parity check failed: no metric below holds for the saved model.**"] if failed else []),
        *use_section(folder, name, results),
        *results_section(folder, results),
        *limits_section(results, balanced_by(recipe)),
        *training_section(folder, recipe, results),
    ]


def _what(folder: Path, recipe, results: dict[str, Any]) -> str:
    file = folder / "config.json"
    settings = read_json(file) if file.is_file() else {}
    saved = [stage for stage in results["stages"] if stage.get("saved", True)]
    sizes = {stage.get("network"): stage["parameters"] for stage in saved}  # of each network once
    count = f"{sum(sizes.values()):,} parameters" if any(sizes.values()) else ""
    parameters = f" ({count})" if count else ""
    labels = results["labels"]
    networks = networks_of(recipe)
    numbers = [number for number in sizes if number] or [1]
    origins = " and ".join(dict.fromkeys(_origin(networks[number - 1].model) for number in numbers))
    named = listed(map(plain, labels), 20)
    what = "An image classifier"
    if "networks" in settings:
        kinds = listed(dict.fromkeys(map(_kind, settings["networks"])))
        what = f"The mean of the probabilities of {plural(len(settings['networks']), 'network')}"
        parameters = f" ({'; '.join(filter(None, (kinds, count)))})"
    elif kind := _kind(settings.get("backbone") or settings):
        what = f"A {kind}{' with a custom head' if 'backbone' in settings else ''}"
    return f"{what}{parameters}, {origins}, that {_task(recipe, labels)}: {named}."


def _task(recipe, labels: list[str]) -> str:
    if recipe.model.multi_label:
        return f"says which of {plural(len(labels), 'label')} an image has, of which it may have several or none"
    return f"classifies images into {plural(len(labels), 'class')}"


def _kind(settings: dict[str, Any]) -> str:
    """A network's name in its settings, as code; empty where they have none."""
    names = [settings.get("architecture"), *(settings.get("architectures") or [])]
    return next((f"`{str(name).replace('`', '')}`" for name in names if name), "")


def _origin(model) -> str:
    base = base_of(model)["base_model"]
    if model.from_scratch:
        return "trained from scratch"
    if isinstance(base, str):
        return f"fine-tuned from [{base}](https://huggingface.co/{base})"
    return f"fine-tuned from the weights `{Path(model.checkpoint).name}`"
