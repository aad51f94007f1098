"""Trained networks as one model: their folders opened, their inputs and labels brought together."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.images import channel_order, input_size, normalization
from hf_imgcls.models.build import load_network
from hf_imgcls.models.configure import set_labels
from hf_imgcls.models.ensemble import EnsembleConfig, EnsembleForImageClassification
from hf_imgcls.models.head import network_name
from hf_imgcls.models.label_kind import is_multi_label


def assemble_ensemble(folders: Sequence[Path], labels: Sequence[str], shared: int):
    """The networks of these folders as one that averages their probabilities, and the image processor of one of them.

    Args:
        labels: class names, in the order of the ensemble's outputs.
        shared: number of the network whose image processor is the ensemble's, from 0; the others must resize and crop
            as it does.

    Raises:
        InputError: a network has code of its own, other labels or another input.
    """
    opened = [load_network(str(folder)) for folder in folders]
    processor = opened[shared][1]
    scale, shift = normalization(processor)
    settings = {"networks": [], "scales": [], "shifts": [], "orders": []}
    for folder, (network, own) in zip(folders, opened, strict=True):
        _check(folder, network, own, processor, labels)
        factor, offset = _from_shared(normalization(own), (scale, shift))
        settings["networks"].append(network.config.to_dict())
        settings["scales"].append(factor)
        settings["shifts"].append(offset)
        settings["orders"].append([network.config.label2id[name] for name in labels])
    config = EnsembleConfig(**settings)
    set_labels(config, list(labels), is_multi_label(opened[shared][0].config))
    first = opened[shared][0].config
    if "pretrained_cfg" in first.to_dict():  # timm's image processor is found in the model's config alone
        config.image_processor_type = "TimmWrapperImageProcessor"
        config.pretrained_cfg, config.architecture = first.pretrained_cfg, first.architecture
    model = EnsembleForImageClassification(config)
    for part, (network, _) in zip(model.networks, opened, strict=True):
        part.load_state_dict(network.state_dict(), strict=True)
    return model.eval(), processor


def is_stock(model: PreTrainedModel | type) -> bool:
    """Whether a network is one of transformers or timm, without a head of its own."""
    return (model if isinstance(model, type) else type(model)).__module__.startswith("transformers.")


def _check(folder: Path, network: PreTrainedModel, own, shared, labels: Sequence[str]) -> None:
    if not is_stock(network):
        raise InputError(
            f"ensemble: {folder} has a network or head of its own ({type(network).__name__}); only those of "
            "transformers and timm can be averaged"
        )
    if sorted(network.config.label2id) != sorted(labels):
        raise InputError(f"ensemble: {folder} has other labels than the data")
    if (input_size(own), channel_order(own)) != (input_size(shared), channel_order(shared)):
        raise InputError(
            f"ensemble: {network_name(network)} takes images of another size or order of channels than the image "
            "processor makes; set its model.processor_of"
        )


def _from_shared(own: tuple, shared: tuple) -> tuple[list[float], list[float]]:
    """Factor and offset by channel that turn the shared processor's pixels into a network's own, which is in float64.

    Each argument is (scale, shift) of a uint8 image, of shape (3, 1, 1).
    """
    (scale, shift), (shared_scale, shared_shift) = ([t.double().flatten() for t in pair] for pair in (own, shared))
    factor = scale / shared_scale
    offset = shift - shared_shift * factor
    same = torch.allclose(factor, torch.ones(3).double()) and torch.allclose(offset, torch.zeros(3).double(), atol=1e-6)
    return ([1.0] * 3, [0.0] * 3) if same else (factor.tolist(), offset.tolist())
