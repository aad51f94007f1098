"""A model ready to train and its image processor, from a checkpoint or from an architecture without weights."""

import contextlib
import copy
from pathlib import Path

import torch
import transformers
from PIL import Image
from transformers import AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.images import input_size, process_image
from hf_imgcls.models.configure import get_config, get_processor, one_line, set_labels
from hf_imgcls.models.head import head_keys
from hf_imgcls.models.replace_head import with_own_head
from hf_imgcls.models.resize import resize_positions, set_image_size
from hf_imgcls.recipe import HeadSection, ModelSection, resolve_checkpoint


def build_model(section: ModelSection, labels: list[str], seed: int):
    """The recipe's model, ready to train, and the image processor that will be saved with it.

    The labels of a checkpoint are kept, in its own order, where they are the data's labels; otherwise its head is
    replaced, also where the number of labels happens to be the same.

    Args:
        labels: class names of the data.
        seed: for everything that is initialised here.

    Returns:
        (model in float32, image processor). `model.config.label2id` maps names to the model's ids.

    Raises:
        InputError: not an image classifier, needs code of its own, incomplete weights, an unknown config key, or a
            size that the architecture cannot take.
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
        model = with_own_head(model, section.head or HeadSection(), section.feature_point, input_size(processor))
    return model, processor


def load_saved(name: str, revision: str | None = None):
    """A saved folder or Hub model as it is: (model in float32 and eval mode, image processor).

    Raises:
        InputError: nothing there, not an image classifier, or a tensor of it is missing.
    """
    section = ModelSection(checkpoint=name, revision=revision)
    config = get_config(section)
    model, lost = _read_weights(section, config)
    if lost:
        raise InputError(
            f"model {name!r}: lacks {len(lost)} tensors of {type(model).__name__} ({min(lost)}, ...): it is no "
            "classifier that was trained"
        )
    return model.eval(), get_processor(section, config)


def _construct(config: PreTrainedConfig) -> PreTrainedModel:
    with one_line("model.config"):
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


def _read_weights(section: ModelSection, config: PreTrainedConfig) -> tuple[PreTrainedModel, set[str]]:
    """The checkpoint's model in float32, and the names of its tensors that did not come from the checkpoint."""
    place = resolve_checkpoint(section)
    _refuse_pickles(place)
    with one_line(f"model.checkpoint: {section.checkpoint!r}"), _without_report():
        model, info = AutoModelForImageClassification.from_pretrained(
            place,
            config=config,
            revision=section.revision,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            use_safetensors=True,
        )
    return model, {*info["missing_keys"], *(entry[0] for entry in info["mismatched_keys"])}


def _refuse_pickles(place: str) -> None:
    folder = Path(place)
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        pickles = sorted(path.name for pattern in ("*.bin", "*.pt*") for path in folder.glob(pattern))
        found = f"only {', '.join(pickles[:3])}, which may run code when it is read" if pickles else "none"
        raise InputError(f"model.checkpoint: {place} has no weights as safetensors (found {found})")


def _try_out(model: PreTrainedModel, processor) -> None:
    """One grey image through processor and model: what does not fit shows before any training."""
    with one_line("model: its image processor"):
        pixels = process_image(processor, Image.new("RGB", (320, 240), "grey"))[None]
    name = type(model).__name__
    try:
        with torch.no_grad():
            outputs = model.eval()(pixel_values=pixels)
    except Exception as error:
        height, width = pixels.shape[-2:]
        raise InputError(
            f"model: {name} does not take the {width}x{height} images of its image processor "
            f"({' '.join(str(error).split())[:200]}); model.image_size and model.config can be changed"
        ) from None
    if "logits" not in outputs or outputs.logits.shape != (1, model.config.num_labels):
        raise InputError(f"model: {name} gives no scores of {model.config.num_labels} classes; take another model")
    tensors = list(model.state_dict().values())
    if len({tensor.data_ptr() for tensor in tensors if tensor.numel()}) < sum(tensor.numel() > 0 for tensor in tensors):
        raise InputError(f"model: {name} uses one tensor in several layers, which cannot be saved; take another model")


@contextlib.contextmanager
def _without_report():
    """transformers reports a replaced head as a mismatch; here it is what was asked for, and checked below."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
