"""LoRA as what trains in a stage: its keys, and where an adapter of its own can be saved."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from hf_imgcls.recipe.base import Section


class LoraSection(Section):
    """Low-rank updates (LoRA) of the network's layers by peft; beside them the head trains."""

    rank: int = Field(16, ge=1, le=4096)
    """Rank of the update of each layer."""
    alpha: PositiveFloat | None = None
    """The update is scaled by alpha / rank; alpha is the rank if left out."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout rate of what goes into the update."""
    target_modules: Literal["all-linear"] | Annotated[list[str], Field(min_length=1)] | None = None
    """Layers that get an update: "all-linear", or regular expressions of module names. If left out: all linear layers,
    in a convolutional network its convolutions too; never the head."""
    save: Literal["merged", "adapter"] = "merged"
    """merged: the updates are added to the weights, and the model is saved as any; adapter: beside it, the updates and
    the head are saved in adapter/ of the run folder, for peft."""


class Lora(Section):
    """Train low-rank updates (LoRA) of the network's layers, and the head."""

    lora: LoraSection = Field(description=LoraSection.__doc__)


def check_lora(recipe: Section, stage, key: str) -> None:
    """Refuse what LoRA cannot be combined with; `stage` is one that trains with it."""
    if stage.optimizer.layer_decay:
        raise ValueError(
            f"{key}.optimizer.layer_decay: layers have no rates of their own with LoRA; give the stage an "
            '"optimizer" of its own: {}'
        )
    if stage.train.lora.save == "adapter":
        _check_adapter(recipe, stage, f"{key}.train.lora.save")


def _check_adapter(recipe: Section, stage, key: str) -> None:
    """An adapter is of a published model, of which only the head may have changed otherwise."""
    model, last = recipe.model, len(recipe.stages)
    if recipe.ensemble.networks:
        raise ValueError(f"{key}: the networks of an ensemble are saved as one model; leave it out")
    if model.checkpoint is None or model.from_scratch:
        raise ValueError(f"{key}: an adapter needs the weights of a model.checkpoint, to which it belongs")
    changes = {key: getattr(model, key) for key in ("image_size", "head", "feature_point")}
    changes |= {f"config.{name}": True for name in model.config if "drop" not in name}
    if changed := next((name for name, value in changes.items() if value), None):
        raise ValueError(f"{key}: with model.{changed} it would not fit its checkpoint; leave one of the two out")
    if stage.number != last or any(other.train != "head" for other in recipe.stages[: last - 1]):
        raise ValueError(f"{key}: only for the last stage, and where those before it train the head alone")
