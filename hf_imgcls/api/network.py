"""A recipe's network on its data, with its stages planned: where every training of it begins."""

from typing import Any, NamedTuple

from transformers import PreTrainedModel

from hf_imgcls import machine
from hf_imgcls.data import Data
from hf_imgcls.images import EvalTransform, input_size
from hf_imgcls.models import build_model, channels_last
from hf_imgcls.training import NO_CUSTOM, Custom, Plan, plan_stages


class Network(NamedTuple):
    """A network, the transform of what it is scored on, and the plan of each stage.

    Attributes:
        hardware, works_with: the machine, and its settings that a training uses.
        channels_last: its memory format.
    """

    model: PreTrainedModel
    scoring: EvalTransform
    plans: list[Plan]
    hardware: machine.Machine
    works_with: dict[str, Any]
    channels_last: bool


def open_network(recipe, data: Data, custom: Custom = NO_CUSTOM) -> Network:
    """Build the network of a checked recipe and plan its stages; a mistake in the last one shows here."""
    arguments = machine.training_arguments(recipe.training)
    model, processor = build_model(recipe.model, data.labels, arguments.seed)
    scoring = EvalTransform(processor, [model.config.label2id[name] for name in data.labels])
    plans = plan_stages(recipe, data, model, scoring, custom)
    laid_out = channels_last(model, input_size(processor), recipe.model.channels_last)
    hardware = machine.detect_machine(arguments.device.type == "cpu")
    works_with = machine.chosen_settings(hardware, [plan.arguments for plan in plans], laid_out)
    return Network(model, scoring, plans, hardware, works_with, laid_out)
