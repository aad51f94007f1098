"""A Space of a pushed model, whatever runs in it: its repository, as private as the model's, and its card."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import HfApi, ModelCard, SpaceCard, SpaceCardData, constants

from hf_imgcls.errors import PushError
from hf_imgcls.machine import say
from hf_imgcls.publishing.hub import Files, Target, download, make_repository, upload, with_retries
from hf_imgcls.reports import CARD
from hf_imgcls.words import plural


class SpaceKind(NamedTuple):
    """What distinguishes one of a model's Spaces from the others."""

    suffix: str  # of its name, after the model's
    what: str  # it is called
    about: str  # of its card, after the model's name
    settings: dict[str, Any]  # of its card: sdk, and what that needs


def push_space(name: str, kind: SpaceKind, make_files: Callable[[Path | None], Files]) -> tuple[str, bool]:
    """Push a Space `owner/name-suffix`, as private as the model, and verify it.

    Args:
        name: of the model's repository.
        make_files: from the Space's card, which people may have written into, or None, to all of its files.

    Returns:
        The Space's name, and whether it is private.
    """
    try:
        private = bool(with_retries(lambda: HfApi().repo_info(name)).private)
        target = Target(f"{name}-{kind.suffix}", private)
        space = make_repository(target, "space", space_sdk=kind.settings["sdk"])
        with tempfile.TemporaryDirectory() as place:
            files = make_files(download(space, CARD, target, Path(place), "space"))
        upload(space, files, target, f"{kind.what.capitalize()} of {name}", "space")
    except PushError as error:
        raise PushError(f"{name} is on the Hub, its {kind.what} is not: {error}") from error
    say(f"{kind.what}: {space_address(space)}, {plural(len(files), 'file')} verified")
    return space, private


def space_address(space: str) -> str:
    return f"{constants.ENDPOINT}/spaces/{space}"


def space_card(folder: Path, name: str, kind: SpaceKind, before: Path | None) -> str:
    """Metadata that the Space needs; whatever else its card has stays."""
    there = SpaceCard.load(before, ignore_metadata_errors=True) if before else None
    text = there.text.strip() if there else ""
    if not text or "spaces-config-reference" in text:  # what the Hub writes into a new one
        text = f"{kind.what.capitalize()} of [{name}]({constants.ENDPOINT}/{name}): {kind.about}"
    data: dict[str, Any] = {"title": f"{name.rpartition('/')[2]} {kind.what}"} | _license(folder)
    data |= there.data.to_dict() if there else {}
    data |= {**kind.settings, "models": [name]}
    return f"---\n{SpaceCardData(**data).to_yaml()}\n---\n\n{text}\n"


def _license(folder: Path) -> dict[str, Any]:
    card = folder / CARD
    data = ModelCard.load(card, ignore_metadata_errors=True).data.to_dict() if card.is_file() else {}
    return {key: data[key] for key in ("license", "license_name", "license_link") if key in data}
