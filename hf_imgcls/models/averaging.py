"""Averages of networks (model soups, arXiv:2203.05482): whether they can be averaged, the mean of their weights, and
the statistics of batch normalizations for it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn
from transformers import PreTrainedModel

from hf_imgcls.models.label_kind import LABEL_THRESHOLDS
from hf_imgcls.scoring import REJECTION

State = Mapping[str, torch.Tensor]
_STATISTICS = ("running_mean", "running_var")
_LABELS = ("id2label", "label2id")
# What may differ: where a network was saved and by what, its thresholds, and how much of it is dropped in training.
_NO_MATTER = (
    "transformers_version", "dtype", "torch_dtype", "image_processor_type", "processor_class", REJECTION,
    LABEL_THRESHOLDS,
)  # fmt: skip


def why_not_averaged(first: tuple[PreTrainedModel, Any], other: tuple[PreTrainedModel, Any]) -> str | None:
    """What keeps two networks, each with its image processor, from being averaged; None where nothing does."""
    (mine, my_processor), (theirs, their_processor) = first, other
    if type(mine) is not type(theirs):
        return f"is a {type(theirs).__name__}, not a {type(mine).__name__}"
    if mine.config.id2label != theirs.config.id2label:
        return "has other labels, or in another order"
    pairs = [(mine.config, theirs.config, "model"), (my_processor, their_processor, "image processor")]
    for a, b, what in pairs:
        one, two = (_comparable(each.to_dict()) for each in (a, b))
        if keys := [key for key in {**one, **two} if one.get(key) != two.get(key)]:
            return f"has another {what}: {keys[0]} differs"
    one, two = mine.state_dict(), theirs.state_dict()
    different = [key for key in {**one, **two} if key not in one or key not in two or one[key].shape != two[key].shape]
    return f"has other tensors: {different[0]} differs" if different else None


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        kept = (key for key in value if key not in (*_NO_MATTER, *_LABELS) and not str(key).startswith("_"))
        return {key: _comparable(value[key]) for key in kept if "drop" not in str(key)}
    return [_comparable(each) for each in value] if isinstance(value, list | tuple) else value


def mean_weights(states: Iterable[State]) -> dict[str, torch.Tensor]:
    """The mean of each tensor, computed in float64 and returned in its own type; integers are those of the first."""
    count, total, kinds = 0, {}, {}
    for state in states:
        count += 1
        for name, value in state.items():
            if name not in total:
                kinds[name] = value.dtype
                total[name] = value.double() if value.is_floating_point() else value.clone()
            elif value.is_floating_point():
                total[name] = total[name] + value.double()
    return {name: (t / count if kinds[name].is_floating_point else t).to(kinds[name]) for name, t in total.items()}


def different_statistics(first: State, other: State) -> set[str]:
    """Names of the modules whose running statistics are not the same in two networks, since they trained."""
    names = (name for name in first if name.endswith(_STATISTICS))
    return {name.rpartition(".")[0] for name in names if not torch.equal(first[name], other[name])}


def renew_statistics(model: nn.Module, names: Iterable[str], batches: Iterable[torch.Tensor]) -> None:
    """Compute the running statistics of some batch normalizations anew, from images; everything else is in evaluation.

    A mean of running statistics is that of no network: activations are not linear in the weights.
    """
    model.eval()
    update_bn(batches, _Normalizations(model, names).eval())


def can_renew(model: nn.Module, name: str) -> bool:
    return isinstance(model.get_submodule(name), _BatchNorm)


class _Normalizations(nn.Module):
    """Some normalizations of a network alone, so that nothing else of it goes into training; runs all of it."""

    def __init__(self, model: nn.Module, names: Iterable[str]):
        super().__init__()
        self.chosen = nn.ModuleList(model.get_submodule(name) for name in names)
        self._network = [model]  # in a list it is no submodule

    def forward(self, pixel_values: torch.Tensor):
        return self._network[0](pixel_values=pixel_values)
