"""What a network drops in training: rates that are none, and one that is too strong for fine-tuning."""

from collections.abc import Iterable
from typing import Any

from transformers import PretrainedConfig

from hf_imgcls.errors import InputError
from hf_imgcls.recipe import ModelSection

_KEYS = ("classifier_dropout_prob", "classifier_dropout", "dropout_rate", "drop_rate", "hidden_dropout_prob", "dropout")
_STRONG, USUAL_DROPOUT = 0.8, 0.2


def check_dropout(settings: dict[str, Any], section: str = "model.config") -> None:
    """Refuse a rate of dropout or drop path outside 0 to 1, with which networks are built and train on nothing."""
    for key, value in settings.items():
        if isinstance(value, dict):
            check_dropout(value, f"{section}.{key}")
        elif "drop" in key:
            for rate in value if isinstance(value, list) else [value]:
                if isinstance(rate, int | float) and not isinstance(rate, bool) and not 0 <= rate < 1:
                    raise InputError(f"{section}.{key}: found {rate!r}, expected a number from 0 to below 1")


def dropout_keys(keys: Iterable[str]) -> list[str]:
    """Those of a configuration's keys that set what is dropped."""
    return sorted({key for key in keys if "drop" in key})


def strong_dropout(config: PretrainedConfig, section: ModelSection) -> tuple[str, float] | None:
    """Key in `model.config` and value of a checkpoint's dropout of 0.8 or more that the recipe has not set."""
    if section.from_scratch or section.head or section.checkpoint is None:
        return None
    places = {"": (config.to_dict(), section.config)}
    places["model_args."] = tuple(part.get("model_args") or {} for part in places[""])  # timm's
    for prefix, (settings, chosen) in places.items():
        for key in _KEYS:
            value = settings.get(key)
            if key not in chosen and isinstance(value, float | int) and value >= _STRONG:
                return prefix + key, float(value)
    return None


def describe_dropout(config: PretrainedConfig, section: ModelSection) -> str | None:
    """A line on a dropout that is too strong, with the override that lowers it."""
    if not (found := strong_dropout(config, section)):
        return None
    key, value = found
    return (
        f"the checkpoint drops {100 * value:g} % of the features before its head in training, a lot for fine-tuning; "
        f"model.config.{key}={USUAL_DROPOUT} lowers it"
    )
