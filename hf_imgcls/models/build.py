"""A model and its image processor, from a checkpoint or from an architecture without weights."""

import contextlib
import copy
from pathlib import Path

import torch
import transformers
from PIL import Image
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageClassification,
    PreTrainedConfig,
    PreTrainedModel,
    ViTImageProcessor,
)

from hf_imgcls.models.resize import resize_positions, set_image_size
from hf_imgcls.recipe import InputError, ModelSection, nearest
from hf_imgcls.transforms import process

_TIMM = "timm/"
_FROM_DATA = ("num_labels", "id2label", "label2id", "problem_type", "num_classes", "label_names")


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
    transformers.set_seed(seed)
    config = _get_config(section)
    own = [config.id2label[i] for i in sorted(config.id2label)] if config.id2label else []
    same = not section.from_scratch and len(own) == len(labels) and set(own) == set(labels)
    _set_labels(config, own if same else labels)
    processor = _get_processor(section, config)
    original = copy.deepcopy(config)
    if section.image_size:
        processor = set_image_size(config, processor, section.image_size)
    if section.from_scratch:
        model = _construct(config)
    else:
        model = _load_weights(section, config, original, new_head=not same)
    _try_out(model, processor)
    return model, processor


def load_saved(name: str, revision: str | None = None):
    """A saved folder or Hub model as it is: (model in float32 and eval mode, image processor).

    Raises:
        InputError: nothing there, or not an image classifier.
    """
    section = ModelSection(checkpoint=name, revision=revision)
    config = _get_config(section)
    with _one_line(f"model {name!r}"):
        model = AutoModelForImageClassification.from_pretrained(
            name, config=config, revision=revision, dtype=torch.float32, use_safetensors=True
        )
    return model.eval(), _get_processor(section, config)


def _get_config(section: ModelSection) -> PreTrainedConfig:
    if section.architecture:
        config = _architecture_config(section.architecture, section.config)
    else:
        path = Path(section.checkpoint).expanduser()
        if not path.exists() and (path.is_absolute() or section.checkpoint.count("/") > 1):
            raise InputError(f"model.checkpoint: no folder {section.checkpoint!r} (looked in {Path.cwd()})")
        with _one_line(f"model.checkpoint: {section.checkpoint!r}"):
            config = AutoConfig.from_pretrained(section.checkpoint, revision=section.revision, trust_remote_code=False)
        _override(config, section.config)
    if type(config) not in AutoModelForImageClassification._model_mapping:
        name = section.architecture or section.checkpoint
        raise InputError(f"model: {name!r} is of type {config.model_type!r}, which is no image classifier")
    if config.to_dict().get("num_channels", 3) != 3:
        raise InputError("model.config.num_channels: must be 3, which is what the pipeline delivers for any picture")
    return config


def _architecture_config(name: str, overrides: dict) -> PreTrainedConfig:
    if name.startswith(_TIMM):
        import timm

        architecture = name.removeprefix(_TIMM)
        if not timm.is_model(architecture):
            raise InputError(
                f"model.architecture: timm has no {architecture!r}{nearest(architecture, timm.list_models())}"
            )
        config = transformers.TimmWrapperConfig(architecture=architecture)
        config.pretrained_cfg = timm.get_pretrained_cfg(architecture).to_dict()
        config.pretrained_cfg.pop("num_classes", None)
        _override(config, overrides)
        return config
    if name not in CONFIG_MAPPING:
        raise InputError(f"model.architecture: transformers has no {name!r}{nearest(name, CONFIG_MAPPING)}")
    config = CONFIG_MAPPING[name]()
    _override(copy.deepcopy(config), overrides)  # unknown keys are found here; dependent ones are set below
    with _one_line("model.config"):
        config = CONFIG_MAPPING[name](**overrides)
    if type(config) in AutoModelForImageClassification._model_mapping:
        classes = AutoModelForImageClassification._model_mapping[type(config)]
        config.architectures = [(classes[0] if isinstance(classes, tuple) else classes).__name__]
    return config


def _override(config: PreTrainedConfig, overrides: dict) -> None:
    for key, value in overrides.items():
        if key in _FROM_DATA:
            raise InputError(f"model.config.{key}: the labels come from the data (data.label_names names them)")
        known = [*config.to_dict(), *config.attribute_map]
        if key not in known:
            raise InputError(f"model.config.{key}: {config.model_type} has no such setting{nearest(key, known)}")
        with _one_line(f"model.config.{key}"):
            setattr(config, key, value)


def _set_labels(config: PreTrainedConfig, labels: list[str]) -> None:
    config.id2label = dict(enumerate(labels))
    config.label2id = {name: i for i, name in enumerate(labels)}
    config.problem_type = "single_label_classification"


def _get_processor(section: ModelSection, config: PreTrainedConfig):
    if config.model_type == "timm_wrapper":
        return transformers.TimmWrapperImageProcessor(
            pretrained_cfg=config.pretrained_cfg, architecture=config.architecture
        )
    if section.architecture:
        size = section.image_size or getattr(config, "image_size", 224)
        side = size if isinstance(size, int) else size[0]
        return ViTImageProcessor(size={"height": side, "width": side})
    with _one_line(f"model.checkpoint: the image processor of {section.checkpoint!r}"):
        return AutoImageProcessor.from_pretrained(
            section.checkpoint, revision=section.revision, trust_remote_code=False
        )


def _construct(config: PreTrainedConfig) -> PreTrainedModel:
    with _one_line("model.config"):
        return AutoModelForImageClassification.from_config(config, dtype=torch.float32, trust_remote_code=False)


def _load_weights(section: ModelSection, config, original, new_head: bool) -> PreTrainedModel:
    with _one_line(f"model.checkpoint: {section.checkpoint!r}"), _without_report():
        model, info = AutoModelForImageClassification.from_pretrained(
            section.checkpoint,
            config=original,
            revision=section.revision,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            use_safetensors=True,
        )
    head = head_keys(original)
    lost = {key for key in info["missing_keys"] if key not in head}
    lost |= {entry[0] for entry in info["mismatched_keys"] if entry[0] not in head}
    if lost:
        raise InputError(
            f"model.checkpoint: {section.checkpoint!r} lacks {len(lost)} of the {len(model.state_dict())} tensors of "
            f"{type(model).__name__} ({min(lost)}, ...): its weights are of another kind or shape of model"
        )
    if new_head and not any(entry[0] in head for entry in info["mismatched_keys"]):
        fresh = _construct(original).state_dict()
        model.load_state_dict({key: fresh[key] for key in head}, strict=False)
    return resize_positions(model, _construct(config)) if config.to_dict() != original.to_dict() else model


def head_keys(config: PreTrainedConfig) -> set[str]:
    """Names of the tensors whose shape follows the number of labels: the head, or both heads where there are two."""
    other = copy.deepcopy(config)
    _set_labels(other, [*config.id2label.values(), "another label"])
    shapes = []
    for each in (config, other):
        with torch.random.fork_rng(devices=[]), torch.device("meta"), contextlib.suppress(NotImplementedError):
            model = AutoModelForImageClassification.from_config(each)
            shapes.append({key: tensor.shape for key, tensor in model.state_dict().items()})
    return {key for key, shape in shapes[0].items() if shapes[1][key] != shape}


def _try_out(model: PreTrainedModel, processor) -> None:
    """One grey picture through processor and model: what does not fit shows before any training."""
    pixels = process(processor, Image.new("RGB", (320, 240), "grey"))[None]
    try:
        with torch.no_grad():
            logits = model.eval()(pixel_values=pixels).logits
    except Exception as error:
        height, width = pixels.shape[-2:]
        raise InputError(
            f"model: {type(model).__name__} does not take the {width}x{height} pictures of its image processor "
            f"({str(error).splitlines()[0]}); say model.image_size"
        ) from None
    if logits.shape != (1, model.config.num_labels):
        raise InputError(f"model: {type(model).__name__} gives logits of shape {tuple(logits.shape)}, no class scores")


@contextlib.contextmanager
def _without_report():
    """transformers reports a replaced head as a mismatch; here it is what was asked for, and checked below."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)


@contextlib.contextmanager
def _one_line(what: str):
    """Whatever a library raises on what the recipe asked for, as one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        if "trust_remote_code" in text:
            text = "it needs code of its own, which is never run here; take an architecture of transformers or timm"
        raise InputError(f"{what}: {text[:400]}") from None
