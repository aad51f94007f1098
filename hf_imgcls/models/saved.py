"""What a checkpoint says of itself, whoever wrote it: the settings in its config.json, and the names of its classes.

Faults of those files are one line each; transformers would end in whatever its code happens to raise.
"""

import json
from pathlib import Path
from typing import Any

import transformers
from transformers import CONFIG_MAPPING, PreTrainedConfig

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.machine import use_hub
from hf_imgcls.models.input_errors import as_input_error
from hf_imgcls.recipe import beside
from hf_imgcls.store import RESULTS, describe_if_several, raise_denied
from hf_imgcls.words import listed

CONFIG = "config.json"
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".keras", ".onnx")
# Seen to be raised by transformers on settings of another form than it writes.
OF_ANOTHER_FORM = (AttributeError, IndexError, RecursionError, OverflowError, ZeroDivisionError)


def read_settings(name: str, place: str, revision: str | None = None) -> dict[str, Any]:
    """The content of a checkpoint's config.json, or one line on what is wrong with it.

    Args:
        name: as the user wrote it.
        place: the folder that it names, or a Hub id.
    """
    if not Path(place).is_dir():
        reached = use_hub()
        missing = "" if reached else "; the Hub cannot be reached from here, only what is in its cache can be used"
        what = f"model.checkpoint: {name!r} is no folder in {Path.cwd()}, and nothing of that name came from the Hub"
        missing += beside(Path(place))
        with as_input_error(what, *OF_ANOTHER_FORM, hint=missing):
            try:
                settings, _ = PreTrainedConfig.get_config_dict(place, revision=revision)
            except OSError:
                if Path(place).parent == Path() or not Path(place).parent.is_dir():
                    raise
                # `runs/photo` beside `runs/`: what the Hub's client says of its network would only mislead.
                raise InputError(
                    f"model.checkpoint: no such folder {name!r} (looked in {Path.cwd()}), nor a model of that name"
                    f"{beside(Path(place))}"
                ) from None
    else:
        if not (Path(place) / CONFIG).is_file():
            raise InputError(f"model.checkpoint: {name} {_instead(Path(place))}")
        settings = read_object(Path(place) / CONFIG)
        if "model_type" not in settings and isinstance(settings.get("pretrained_cfg"), dict):  # as timm saves its own
            settings["model_type"] = "timm_wrapper"
    for key, kind in (("auto_map", dict), ("pretrained_cfg", dict), ("quantization_config", dict), ("dtype", str)):
        if not isinstance(settings.get(key), kind | None):
            raise InputError(f"model {name!r}: {key} of its {CONFIG} is {_found(settings[key])}")
    return settings


def read_object(file: Path) -> dict[str, Any]:
    """A JSON file of a checkpoint, which has to hold an object; an InputError names the file."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except RecursionError:
        raise InputError(f"model: {file} is nested too deeply to be read") from None
    except UnicodeDecodeError:
        raise InputError(f"model: {file} is not JSON (not UTF-8 text)") from None
    except json.JSONDecodeError as error:
        raise InputError(f"model: {file} is not JSON ({error.msg} at line {error.lineno})") from None
    except (OSError, ValueError) as error:  # the latter: numbers of thousands of digits
        raise_denied(error)
        raise InputError(f"model: {file} cannot be read: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(content, dict):
        raise InputError(f"model: {file} holds {_found(content)}, expected a JSON object")
    return content


def check_type(name: str, settings: dict[str, Any]) -> None:
    """Refuse settings of a kind of model that transformers does not know."""
    kind = settings.get("model_type")
    if kind is None:
        raise InputError(
            f"model {name!r}: its {CONFIG} has no model_type, so the kind of model is not known; save it with "
            "save_pretrained (of timm: timm.models.save_for_hf)"
        )
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        near = nearest(kind, CONFIG_MAPPING) if isinstance(kind, str) else ""
        raise InputError(f"model {name!r}: transformers {transformers.__version__} has no model_type {kind!r}{near}")


def take_labels(settings: dict[str, Any]) -> str | None:
    """Make the class names of a config.json those that transformers expects, in place; says what is wrong with them.

    Names count by `id2label` alone, as for `pipeline`: a `label2id` or `num_labels` that contradicts it is dropped.
    Those that cannot be used become LABEL_0, LABEL_1, ..., which is enough to train another head.
    """
    named = settings.get("id2label")
    settings.pop("label2id", None)
    if named is None:
        count = settings.get("num_labels")
        if count is None or (isinstance(count, int) and 0 < count < 10**6):
            return None
        del settings["num_labels"]
        return f"num_labels is {_found(count)}"
    fault = _fault(named)
    if fault:
        del settings["id2label"]
        settings["num_labels"] = max(2, len(named)) if isinstance(named, dict | list) else 2
        return fault
    pairs = enumerate(named) if isinstance(named, list) else sorted((int(key), name) for key, name in named.items())
    names = {number: str(name) for number, name in pairs}
    settings |= {"id2label": names, "label2id": {name: number for number, name in names.items()}}
    settings["num_labels"] = len(names)  # a field of its own in some configurations (PVT)
    return None


def _fault(named: Any) -> str | None:
    if not isinstance(named, dict | list) or not named:
        return f"id2label is {_found(named)}"
    keys = list(range(len(named))) if isinstance(named, list) else list(named)
    if sorted(map(str, keys)) != sorted(map(str, range(len(keys)))):
        return f"id2label has the ids {listed(keys, 3)}, expected 0 to {len(keys) - 1}"
    names = named if isinstance(named, list) else named.values()
    wrong = next((name for name in names if not isinstance(name, str | int | float)), "")
    return None if wrong == "" else f"id2label has the name {json.dumps(wrong)[:60]}, expected strings"


def _instead(folder: Path) -> str:
    """What a folder without config.json is, as far as its files tell."""
    if several := describe_if_several(folder):
        return several
    files = sorted(path.name for path in folder.iterdir() if path.is_file())
    if "adapter_config.json" in files:
        return describe_adapter(folder)
    weights = [name for name in files if name.endswith(_WEIGHTS)]
    if weights:
        return (
            f"has weights ({listed(weights, 2)}) but no {CONFIG} that says which network they are of; save the model "
            "with save_pretrained (of timm: timm.models.save_for_hf)"
        )
    if any(folder.glob("checkpoint-*")):
        return f"is a run that has not finished: it has no {CONFIG}; run it to its end, or name one of its checkpoints"
    return f"has no {CONFIG}; a checkpoint is a folder that save_pretrained has written"


def describe_adapter(folder: Path) -> str:
    found = "is a PEFT adapter, not a model; "
    if (folder.resolve().parent / RESULTS).is_file():
        return found + f"its run, {folder.resolve().parent}, has it merged into its base model"
    return found + "merge it into its base model (merge_and_unload) and save that"


def _found(value: Any) -> str:
    return f"{type(value).__name__} {json.dumps(value)[:60]}"
