"""The files of a run's folder that go to the Hub: what a user of the model needs, without paths of this machine."""

from pathlib import Path

from hf_imgcls.reports import CARD
from hf_imgcls.store import ADAPTER, ADAPTER_WEIGHTS, HISTORY, RECIPE, RESULTS, SPLITS, read_json
from hf_imgcls.words import as_json, without_paths

# A list of what is pushed, not of what is left out: checkpoints, optimizer states, logs, images of the training split
# and whatever else lies in the folder stay here.
_FILES = (
    "config.json", "preprocessor_config.json", "processor_config.json", "model*.safetensors",
    "model.safetensors.index.json", "none_of_these.safetensors", "*.py", RECIPE, RESULTS, SPLITS, HISTORY,
)  # fmt: skip
_SETTINGS, _PROCESSOR = "adapter_config.json", "preprocessor_config.json"


def shareable_files(folder: Path) -> dict[str, Path | bytes]:
    """What is pushed, by its path in the repository: the file as it is, or its content without paths of this machine.

    Of the plots only those that the card shows: the others show images of the training split.
    """
    labels = set(read_json(folder / RESULTS)["labels"])
    card = (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).is_file() else ""
    plots = [path for path in sorted(folder.glob("plots/*.png")) if path.relative_to(folder).as_posix() in card]
    chosen = [path for pattern in _FILES for path in sorted(folder.glob(pattern))]
    if _adapter_base(folder) and not kept_adapter(folder):
        chosen += [
            file for name in (_SETTINGS, ADAPTER_WEIGHTS, _PROCESSOR) if (file := folder / ADAPTER / name).is_file()
        ]
    chosen += [*plots, *([folder / CARD] if card else [])]
    return {path.relative_to(folder).as_posix(): _clean(path, labels) for path in chosen}


def kept_adapter(folder: Path) -> str | None:
    """Why the adapter of a run stays here, if it has one: nobody else has what it is of."""
    base = _adapter_base(folder)
    if base is None or not Path(base).is_absolute():
        return None
    return f"{ADAPTER}/ is not pushed: it is of {base}, a folder of this machine; the model that is pushed is whole"


def _adapter_base(folder: Path) -> str | None:
    """What the adapter of a run is of: a Hub id, or a folder of this machine by its whole path."""
    file = folder / ADAPTER / _SETTINGS
    return read_json(file)["base_model_name_or_path"] if file.is_file() else None


def _clean(file: Path, labels: set[str]) -> Path | bytes:
    if file.suffix != ".json" or file.name == _SETTINGS:
        return file  # the card, and an adapter of a Hub id, have been written without them
    content = read_json(file)
    clean = without_paths(content, labels)
    if file.name == RESULTS:  # names of training images, and of patients, stay here too
        for key in ("duplicates", "groups"):
            clean |= {key: [{**each, "examples": []} for each in clean[key]]} if clean.get(key) else {}
    return file if clean == content else f"{as_json(clean, indent=2)}\n".encode()
