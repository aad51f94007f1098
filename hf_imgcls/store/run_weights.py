"""The weights of a finished run, or of a checkpoint: whether they are those that it wrote."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_imgcls.errors import InputError
from hf_imgcls.store.checkpoints import MANIFEST, compare_file, describe_file
from hf_imgcls.store.files import read_json
from hf_imgcls.store.run_folder import RESULTS

_KEY, _FILES = "weights", "model*.safetensors"


def describe_weights(folder: Path) -> dict[str, Any]:
    """Size and SHA-256 of the files with the weights of a run, as results.json keeps them."""
    return {_KEY: {file.name: describe_file(file) for file in sorted(folder.glob(_FILES))}}


def check_weights(folder: Path) -> None:
    """Refuse (InputError) weights that are not those that a run wrote; where none are described, nothing is known."""
    for kept, described in ((RESULTS, _read(folder / RESULTS).get(_KEY)), (MANIFEST, _read(folder / MANIFEST))):
        for name, file in described.items() if isinstance(described, Mapping) else ():
            ours = Path(name).match(_FILES) and isinstance(file, list) and list(map(type, file)) == [int, str]
            if ours and (fault := compare_file(folder / name, name, file)):
                raise InputError(
                    f"model: {folder}: {fault}; put it back from a copy, or train again (where it was changed on "
                    f"purpose, remove its entry from {kept})"
                )


def _read(file: Path) -> Mapping[str, Any]:
    """What is in a file of this package; nothing where that is missing or of another form, which others say."""
    try:
        content = read_json(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, Mapping) else {}
