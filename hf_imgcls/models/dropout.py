"""What a network drops in training: rates that are none, and one that is too strong for fine-tuning."""

import copy
from collections.abc import Iterable
from typing import Any

from transformers import PretrainedConfig, PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.models.construct import check_construction
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


def check_dropped(config: PretrainedConfig, settings: dict[str, Any]) -> None:
    """Refuse a rate that a network has a setting for and does not use, as some have for other tasks.

    Networks of timm refuse it themselves.
    """
    for key, value in settings.items():
        rates = value if isinstance(value, list) else [value]
        if "drop" not in key or not any(isinstance(rate, float) and rate for rate in rates):
            continue
        other, rate = copy.deepcopy(config), 0.25 if 0.25 not in rates else 0.5
        setattr(other, key, [rate] * len(value) if isinstance(value, list) else rate)
        if _rates(check_construction(config)) == _rates(check_construction(other)):
            raise InputError(
                f"model.config.{key}: {config.model_type} does not use it to classify images, so nothing would be "
                f"dropped; leave it out"
            )


def _rates(model: PreTrainedModel) -> list[tuple]:
    """What its modules say of themselves, and their numbers, rates of dropout among them."""
    return [
        (name, module.extra_repr(), {key: value for key, value in vars(module).items() if isinstance(value, float)})
        for name, module in model.named_modules()
    ]


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
