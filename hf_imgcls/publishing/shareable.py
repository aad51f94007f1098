"""The files of a run's folder that go to the Hub: what a user of the model needs, without paths of this machine."""

from pathlib import Path

from hf_imgcls.reports import CARD
from hf_imgcls.store import HISTORY, RECIPE, RESULTS, SPLITS, read_json
from hf_imgcls.words import as_json, without_paths

# A list of what is pushed, not of what is left out: checkpoints, optimizer states, logs, images of the training split
# and whatever else lies in the folder stay here.
_FILES = (
    "config.json", "preprocessor_config.json", "processor_config.json", "model*.safetensors",
    "model.safetensors.index.json", "*.py", RECIPE, RESULTS, SPLITS, HISTORY,
)  # fmt: skip


def shareable_files(folder: Path) -> dict[str, Path | bytes]:
    """What is pushed, by its path in the repository: the file as it is, or its content without paths of this machine.

    Of the plots only those that the card shows: the others show images of the training split.
    """
    labels = set(read_json(folder / RESULTS)["labels"])
    card = (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).is_file() else ""
    plots = [path for path in sorted(folder.glob("plots/*.png")) if path.relative_to(folder).as_posix() in card]
    chosen = [path for pattern in _FILES for path in sorted(folder.glob(pattern))]
    chosen += [*plots, *([folder / CARD] if card else [])]
    return {path.relative_to(folder).as_posix(): _clean(path, labels) for path in chosen}


def _clean(file: Path, labels: set[str]) -> Path | bytes:
    if file.suffix != ".json":
        return file  # the card has been written without them
    content = read_json(file)
    clean = without_paths(content, labels)
    if file.name == RESULTS:  # names of training images, and of patients, stay here too
        for key in ("duplicates", "groups"):
            clean |= {key: [{**each, "examples": []} for each in clean[key]]} if clean.get(key) else {}
    return file if clean == content else f"{as_json(clean, indent=2)}\n".encode()
