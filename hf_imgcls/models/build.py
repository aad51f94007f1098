"""A model and its image processor: ready to train, from a checkpoint or an architecture, or as it was saved."""

import contextlib
import copy
from pathlib import Path

import torch
import transformers
from PIL import Image
from transformers import AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.images import input_size, process_image
from hf_imgcls.models.configure import get_config, set_labels
from hf_imgcls.models.head import head_keys, with_custom_head
from hf_imgcls.models.input_errors import as_input_error
from hf_imgcls.models.preprocessing import get_processor, resize_positions, set_image_size
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
    set_labels(config, own if same else labels)
    processor = get_processor(section, config)
    original = copy.deepcopy(config)
    if section.image_size:
        processor = set_image_size(config, processor, section.image_size)
    model = _construct(config) if section.from_scratch else _load_weights(section, config, original, not same)
    _try_out(model, processor)
    if section.head or section.feature_point:
        model = with_custom_head(model, section.head or HeadSection(), section.feature_point, input_size(processor))
    return model, processor


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
    model, lost = _read_weights(section, original)
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
    return resize_positions(model, _construct(config)) if config.to_dict() != original.to_dict() else model


def _try_out(model: PreTrainedModel, processor) -> None:
    """One grey image through processor and model: what does not fit shows before any training."""
    with as_input_error("model: its image processor"):
        pixels = process_image(processor, Image.new("RGB", (320, 240), "grey"))[None]
    name, (height, width) = type(model).__name__, pixels.shape[-2:]
    refused = f"model: {name} does not take the {width}x{height} images of its image processor"
    hint = "; model.image_size and model.config can be changed"
    with as_input_error(refused, IndexError, ZeroDivisionError, hint=hint), torch.no_grad():
        outputs = model.eval()(pixel_values=pixels)
    if "logits" not in outputs or outputs.logits.shape != (1, model.config.num_labels):
        raise InputError(f"model: {name} gives no scores of {model.config.num_labels} classes; take another model")
    tensors = list(model.state_dict().values())
    if len({tensor.data_ptr() for tensor in tensors if tensor.numel()}) < sum(tensor.numel() > 0 for tensor in tensors):
        raise InputError(f"model: {name} uses one tensor in several layers, which cannot be saved; take another model")


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
    config = get_config(section, trust_remote_code)
    network, lost = _read_weights(section, config, dtype)
    if lost:
        raise InputError(
            f"model {name!r}: lacks {len(lost)} tensors of {type(network).__name__} ({min(lost)}, ...): it is no "
            "trained classifier"
        )
    return network.eval(), get_processor(section, config)


def _read_weights(
    section: ModelSection, config: PreTrainedConfig, dtype: torch.dtype | str = torch.float32
) -> tuple[PreTrainedModel, set[str]]:
    """The network of a checkpoint, and the names of its tensors that are not in the checkpoint or have another shape.

    `config` is from `get_config`, which has already refused code that is not trusted.
    """
    place = resolve_checkpoint(section)
    _refuse_pickles(place)
    with as_input_error(f"model.checkpoint: {section.checkpoint!r}"), _without_report():
        network, info = AutoModelForImageClassification.from_pretrained(
            place,
            config=config,
            revision=section.revision,
            dtype=dtype,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            use_safetensors=True,
            # What is installed here is never replaced by code beside the weights.
            trust_remote_code=type(config) not in AutoModelForImageClassification._model_mapping,
        )
    return network, {*info["missing_keys"], *(entry[0] for entry in info["mismatched_keys"])}


def _refuse_pickles(place: str) -> None:
    folder = Path(place)
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt*") for path in folder.glob(pattern))
        found = f"only {', '.join(pickles[:3])}, which may run code when it is read" if pickles else "none"
        raise InputError(f"model.checkpoint: {place} has no weights as safetensors (found {found})")


@contextlib.contextmanager
def _without_report():
    """transformers reports a replaced head as a mismatch; here it is what was asked for, and the callers check it."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
