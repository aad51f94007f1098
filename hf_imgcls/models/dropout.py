"""A dropout before the head that was published for training from scratch and is too strong for fine-tuning."""

from transformers import PretrainedConfig

from hf_imgcls.recipe import ModelSection

_KEYS = ("classifier_dropout_prob", "classifier_dropout", "dropout_rate", "drop_rate", "hidden_dropout_prob", "dropout")
_STRONG = 0.8


def describe_dropout(config: PretrainedConfig, section: ModelSection) -> str | None:
    """A line on a checkpoint's dropout of 0.8 or more, with the override that lowers it; None if the recipe set it."""
    if section.from_scratch or section.head or section.checkpoint is None:
        return None
    places = {"": (config.to_dict(), section.config)}
    places["model_args."] = tuple(part.get("model_args") or {} for part in places[""])  # timm's
    for prefix, (settings, chosen) in places.items():
        for key in _KEYS:
            value = settings.get(key)
            if key not in chosen and isinstance(value, float | int) and value >= _STRONG:
                return (
                    f"the checkpoint drops {100 * value:g} % of the features before its head in training, a lot "
                    f"for fine-tuning; model.config.{prefix}{key}=0.2 lowers it"
                )
    return None
