"""Features of images by any classifier: what goes into its output layer, or into each of several."""

import contextlib
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import normalize
from transformers import PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.models.ensemble import EnsembleForImageClassification
from hf_imgcls.models.head import network_name
from hf_imgcls.models.own_head import OwnHeadForImageClassification
from hf_imgcls.models.trace import in_evaluation, random_images


def feature_layers(model: PreTrainedModel, size: tuple[int, int]) -> list[str]:
    """Names of the layers whose inputs are the features of an image: `head_module`, where a network has one.

    An ensemble has one for each of its networks, a network of two classifiers (LeViT, DeiT with its teacher's) two.
    Found by one forward pass, which any network takes, with code of its own too; an InputError where there is none.
    """
    if isinstance(model, EnsembleForImageClassification):
        layers = [feature_layers(network, size) for network in model.networks]
        return [f"networks.{number}.{layer}" for number, each in enumerate(layers) for layer in each]
    if isinstance(model, OwnHeadForImageClassification):
        return ["head"]
    outputs, logits = _outputs(model, size)
    found = [name for name, output in outputs.items() if torch.equal(output.to(logits.dtype), logits)][-1:]
    # What is made of the outputs of several, such as their mean, equals none of them.
    found = found or [name for name in outputs if isinstance(model.get_submodule(name), nn.Linear)]
    if not found:
        raise InputError(
            f"model: {network_name(model)} has no layer that turns one feature of an image into its "
            f"{model.config.num_labels} outputs, so it has no features; take another model"
        )
    return found


def feature_width(model: nn.Module, layers: Sequence[str]) -> int:
    """Numbers in the features of an image."""
    modules = (model.get_submodule(name).modules() for name in layers)
    return sum(next(m.weight.shape[1] for m in each if isinstance(m, nn.Linear | nn.Conv2d)) for each in modules)


def _outputs(model: PreTrainedModel, size: tuple[int, int]) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Outputs, shape (1, labels), of the linear layers and 1x1 convolutions that have one for an image; its logits."""
    calls: dict[str, list[torch.Tensor]] = {}
    with contextlib.ExitStack() as hooks, in_evaluation(model), torch.no_grad():
        for name, module in model.named_modules():
            pointwise = isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1)
            if (isinstance(module, nn.Linear) or pointwise) and len(module.weight) == model.config.num_labels:
                seen = calls.setdefault(name, [])
                hooks.enter_context(
                    module.register_forward_hook(lambda _, inputs, output, seen=seen: seen.append(output))
                )
        logits = model(pixel_values=random_images(model, 1, size))["logits"]
    flat = {name: outputs[0].flatten(1) for name, outputs in calls.items() if len(outputs) == 1}
    return {name: output for name, output in flat.items() if output.shape == logits.shape}, logits


class FeatureTap(contextlib.AbstractContextManager):
    """Within it, the features of the images that a network is given: what goes into its `feature_layers`."""

    def __init__(self, model: nn.Module, layers: Sequence[str]):
        self._modules = [model.get_submodule(name) for name in layers]
        self._seen: list[list[torch.Tensor]] = [[] for _ in layers]
        self._hooks = contextlib.ExitStack()

    def __enter__(self) -> "FeatureTap":
        for module, seen in zip(self._modules, self._seen, strict=True):
            hook = module.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0].detach()))
            self._hooks.enter_context(hook)
        return self

    def __exit__(self, *error) -> None:
        self._hooks.close()

    def take(self, rows: Sequence[int] | None = None) -> torch.Tensor | None:
        """Features of the images since the last call, float32 of shape (images, width), on the CPU.

        Of one layer they are its inputs; of several each has the length 1, so that all count the same in a cosine
        similarity, and they stand one behind the other. None where nothing was seen, as of a compiled network.

        Args:
            rows: of these images alone.
        """
        inputs = [torch.cat([each.flatten(1) for each in seen]) for seen in self._seen if seen]
        for seen in self._seen:
            seen.clear()
        if not inputs or len(inputs) < len(self._seen):
            return None
        found = [(each if rows is None else each[list(rows)]).float().cpu() for each in inputs]
        return found[0] if len(found) == 1 else torch.cat([normalize(each) for each in found], dim=1)
