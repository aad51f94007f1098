"""The updates of LoRA on disk, as peft has them: in a checkpoint, from which a training resumes, and as an adapter."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from hf_imgcls.errors import RestoreError
from hf_imgcls.models.lora import is_update, lora_config, lora_layers
from hf_imgcls.models.lora_merged import merged
from hf_imgcls.models.lora_targets import head_names
from hf_imgcls.models.restore import restore_weights
from hf_imgcls.recipe import LoraSection, ModelSection, resolve_checkpoint
from hf_imgcls.store import ADAPTER, ADAPTER_WEIGHTS, raise_denied

_SAME = 1e-5  # of the largest weight, between two machines that add the same update


class Adapter(NamedTuple):
    """peft's settings (a LoraConfig), and its tensors by its names."""

    config: Any
    tensors: dict[str, torch.Tensor]

    def save(self, run: Path, processor) -> Path:
        """Write it into the folder of its run, with the image processor that it was trained with; returns where.

        timm has its image processor in a network's config.json, which an adapter does not have.
        """
        folder = run / ADAPTER
        folder.mkdir(exist_ok=True)
        self.config.save_pretrained(folder)
        if not hasattr(processor, "data_config"):
            processor.save_pretrained(folder)
        save_file(self.tensors, folder / ADAPTER_WEIGHTS, {"format": "pt"})
        return folder


def take_adapter(model: PreTrainedModel, lora: LoraSection, section: ModelSection) -> Adapter:
    """The updates that a network has now, and its head, as an adapter of the recipe's checkpoint.

    A checkpoint on this machine is named by its whole path, which is not pushed.
    """
    head = head_names(model)
    place = Path(resolve_checkpoint(section))
    config = lora_config(
        lora,
        list(lora_layers(model)),
        modules_to_save=sorted({name.rpartition(".")[0] for name in head}),
        base_model_name_or_path=str(place.resolve()) if place.is_dir() else section.checkpoint,
        revision=section.revision,
        inference_mode=True,
    )
    return Adapter(config, _tensors(model, head))


def save_updates(model: PreTrainedModel, folder: Path) -> None:
    """Write what a merged checkpoint does not tell: the updates that are trained on."""
    if lora_layers(model):
        save_file(_tensors(model), folder / ADAPTER_WEIGHTS, {"format": "pt"})


def restore_trained(model: torch.nn.Module, folder: str | Path) -> None:
    """`restore_weights`, also of a network with updates, whose layers keep the weights that they have."""
    layers = lora_layers(model)
    if not layers:
        restore_weights(model, folder)
        return
    try:
        tensors, parameters = load_file(Path(folder) / ADAPTER_WEIGHTS), dict(model.named_parameters())
        with torch.no_grad():
            for name in filter(is_update, parameters):
                parameters[name].copy_(tensors[_name_of_peft(name)])
    except (OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise_denied(error)
        raise RestoreError(f"{folder}: {ADAPTER_WEIGHTS} cannot be restored: {str(error)[:200]}") from None
    with merged(model):  # what is loaded into the sums goes with them
        sums = {name: layer.base_layer.weight.detach().clone() for name, layer in layers.items()}
        restore_weights(model, folder)
        for name, mine in sums.items():
            saved = model.get_submodule(name).weight
            if not (mine - saved).abs().max() <= _SAME * saved.abs().max():
                raise RestoreError(f"{folder}: {name} had other weights when its update was trained; add --start-over")


def _tensors(model: PreTrainedModel, others: frozenset | set[str] = frozenset()) -> dict[str, torch.Tensor]:
    parameters = model.named_parameters()
    return {
        _name_of_peft(name): each.detach().cpu().contiguous().clone()
        for name, each in parameters
        if is_update(name) or name in others
    }


def _name_of_peft(name: str) -> str:
    return f"base_model.model.{name.replace('.default.', '.') if is_update(name) else name}"
