"""A model and its image processor: ready to train, from a checkpoint or an architecture, or as it was saved."""

import copy
from pathlib import Path

import torch
import transformers
from PIL import Image
from transformers import AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.images import input_size, process_image
from hf_imgcls.models.borrowed import borrow_processor
from hf_imgcls.models.channels import as_rgb, says_channels, set_channels
from hf_imgcls.models.configure import get_config, set_labels
from hf_imgcls.models.construct import check_construction
from hf_imgcls.models.head import head_keys, with_custom_head
from hf_imgcls.models.input_errors import as_input_error
from hf_imgcls.models.label_kind import check_thresholds, is_multi_label
from hf_imgcls.models.other_input import channels_of_stem, fit_to_input
from hf_imgcls.models.preprocessing import get_processor, set_image_size
from hf_imgcls.models.resizing import apply_section
from hf_imgcls.models.saved import OF_ANOTHER_FORM
from hf_imgcls.models.weights import check_files, read_weights
from hf_imgcls.recipe import HeadSection, ModelSection, resolve_checkpoint


def build_model(section: ModelSection, labels: list[str], seed: int):
    """The recipe's model, ready to train, and the image processor that will be saved with it.

    The head of a checkpoint, and the order of its labels, stay where they are the data's labels; otherwise the head is
    replaced, even if the number of labels happens to be the same.

    Returns:
        (model in float32, image processor). `model.config.label2id` maps names to the model's ids.
    """
    if len(labels) < 2:
        raise InputError(f"data: found one class only ({', '.join(labels)}); a classifier needs two or more")
    transformers.set_seed(seed)
    config = get_config(section)
    own = [config.id2label[i] for i in sorted(config.id2label)] if config.id2label else []
    same = not section.from_scratch and len(own) == len(labels) and set(own) == set(labels)
    same = same and is_multi_label(config) == section.multi_label  # else its logits mean something else
    set_labels(config, own if same else labels, section.multi_label)
    original = copy.deepcopy(config)
    processor = _make_processor(section, config)
    model = _construct(config) if section.from_scratch else _load_weights(section, config, original, not same)
    _try_out(model, processor)
    _check_sharing(model)
    if section.head or section.feature_point:
        model = with_custom_head(model, section.head or HeadSection(), section.feature_point, input_size(processor))
    return model, processor


def _make_processor(section: ModelSection, config: PreTrainedConfig):
    """The recipe's image processor; the input size, and the settings of timm, in `config` follow it."""
    processor = get_processor(section, config)
    if section.checkpoint and says_channels(section, config):
        processor = as_rgb(config, processor)
    if section.image_size:
        processor = set_image_size(config, processor, section.image_size)
    if section.processor_of:
        processor = borrow_processor(section, config, processor)
    return apply_section(section.processor, config, processor) if section.processor else processor


def _construct(config: PreTrainedConfig) -> PreTrainedModel:
    with as_input_error("model.config", IndexError, ZeroDivisionError):
        model = AutoModelForImageClassification.from_config(config, dtype=torch.float32, trust_remote_code=False)
        if config.model_type == "timm_wrapper":
            # The wrapper draws all layers anew with a standard deviation of 0.02, on which deep convnets hardly learn.
            import timm

            arguments = {"num_classes": config.num_labels, **(config.model_args or {})}
            model.timm_model.load_state_dict(timm.create_model(config.architecture, **arguments).state_dict())
    return model


def _load_weights(section: ModelSection, config, original, new_head: bool) -> PreTrainedModel:
    model, missing, reshaped = read_weights(section, original)
    if says_channels(section, original) and (channels := channels_of_stem(reshaped)):
        set_channels(original, channels)
        model, missing, reshaped = read_weights(section, original)
    lost = {*missing, *reshaped}
    head = head_keys(original)
    if not head:
        raise InputError(f"model: {type(model).__name__} has no head whose size follows the number of classes")
    if lost - head:
        overrides = ", or model.config does not fit them" if section.config else ""
        raise InputError(
            f"model.checkpoint: {section.checkpoint!r} lacks {len(lost - head)} of the {len(model.state_dict())} "
            f"tensors of {type(model).__name__} ({min(lost - head)}, ...): its weights are incomplete, or of another "
            f"kind or shape of model{overrides}"
        )
    if new_head and not head <= lost:
        fresh = _construct(original).state_dict()
        model.load_state_dict({key: fresh[key] for key in head}, strict=False)
    return fit_to_input(model, _construct(config)) if config.to_dict() != original.to_dict() else model


def _try_out(model: PreTrainedModel, processor, name: str = "model") -> None:
    """One grey image through processor and model: what does not fit shows before any training or prediction."""
    with as_input_error(f"{name}: its image processor", *OF_ANOTHER_FORM):
        pixels = process_image(processor, Image.new("RGB", (320, 240), "grey"))[None]
    network, (height, width) = type(model).__name__, pixels.shape[-2:]
    refused = f"{name}: {network} does not take the {width}x{height} images of its image processor"
    hint = "; model.image_size and model.config can be changed" if name == "model" else ""
    with as_input_error(refused, *OF_ANOTHER_FORM, hint=hint), torch.no_grad():
        outputs = model.eval()(pixel_values=pixels)
    if "logits" not in outputs or outputs.logits.shape != (1, model.config.num_labels):
        raise InputError(f"{name}: {network} gives no scores of {model.config.num_labels} classes; take another model")
    if not outputs.logits.isfinite().all():
        raise InputError(
            f"{name}: {network} scores an image with what is no number (NaN or infinite): its weights, or the image "
            "processor, are damaged"
        )


def _check_sharing(model: PreTrainedModel) -> None:
    tensors = list(model.state_dict().values())
    if len({tensor.data_ptr() for tensor in tensors if tensor.numel()}) < sum(tensor.numel() > 0 for tensor in tensors):
        raise InputError(
            f"model: {type(model).__name__} uses one tensor in several layers, which cannot be saved; take another "
            "model"
        )


def check_model(section: ModelSection, averaged: bool = False) -> None:
    """Check the `model` section without loading weights or asking the Hub.

    Args:
        averaged: whether it is of an ensemble, for which a network of our own is refused.
    """
    place = None if section.architecture else resolve_checkpoint(section)
    if place and not Path(place).is_dir():
        return
    config = get_config(section)
    if averaged and not type(config).__module__.startswith("transformers."):
        raise InputError(
            f"model: {config.model_type!r} is not a network of transformers or timm, which alone can be averaged"
        )
    check_construction(config)
    if section.processor_of and not Path(resolve_checkpoint(section, "processor_of")).is_dir():
        section = section.model_copy(update={"processor_of": None})
    if place or section.processor:
        _make_processor(section, copy.deepcopy(config))
    if place and not section.from_scratch:
        check_files(place)


def check_saved(name: str) -> None:
    """Check a trained classifier on this machine by its settings and files; of a Hub id nothing is asked."""
    section = ModelSection(checkpoint=name)
    place = resolve_checkpoint(section)
    if Path(place).is_dir():
        get_config(section, own_labels=True)
        check_files(place)


def load_network(
    name: str, revision: str | None = None, dtype: torch.dtype | str = torch.float32, trust_remote_code: bool = False
):
    """A saved folder or Hub model as it is: (network in eval mode, image processor).

    Args:
        dtype: "auto" for the precision that the weights were saved in, as pipeline has it.
        trust_remote_code: whether code that comes with the model may be run. That of built-in architectures and custom
            heads is installed.
    """
    section = ModelSection(checkpoint=name, revision=revision)
    config = get_config(section, trust_remote_code, own_labels=True)
    check_thresholds(config)
    if type(config) in AutoModelForImageClassification._model_mapping:
        check_construction(config, f"model {name!r}")
    network, missing, reshaped = read_weights(section, config, dtype)
    if reshaped and not missing and reshaped.keys() <= head_keys(config):
        outputs = next(iter(reshaped.values()))[0][0]
        raise InputError(
            f"model {name!r}: its weights have {outputs} outputs, its config.json names {config.num_labels} classes; "
            "correct id2label there"
        )
    lost = {*missing, *reshaped}
    if lost:
        raise InputError(
            f"model {name!r}: lacks {len(lost)} tensors of {type(network).__name__} ({min(lost)}, ...): it is no "
            "trained classifier"
        )
    processor = get_processor(section, config)
    if network.dtype == torch.float32:  # half precision is for the device that it goes to
        _try_out(network, processor, f"model {name!r}")
    return network.eval(), processor
