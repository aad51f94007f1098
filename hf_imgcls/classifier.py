"""A model of any origin, opened to answer: its scores are those of `pipeline`, many pictures at a time."""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import torch
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForImageClassification, PreTrainedConfig

from hf_imgcls.hub import use_hub
from hf_imgcls.models.configure import get_config, get_processor, one_line, resolve_checkpoint
from hf_imgcls.models.fold import fold_batch_norms
from hf_imgcls.models.layout import channels_last
from hf_imgcls.processors import process_image
from hf_imgcls.recipe import InputError
from hf_imgcls.sections import ModelSection


class Classifier(NamedTuple):
    """What answers.

    Attributes:
        name: of the model, and behind an @ what tells its answers from those of another one of that name.
        labels: in the order of its outputs.
        processor: its image processor.
        logits: takes pixels (n, 3, h, w), float32 on the CPU, to outputs (n, classes), float32 on the CPU.
        to_scores: takes outputs to scores, both (n, classes).
    """

    name: str
    labels: list[str]
    processor: Any
    logits: Callable[[torch.Tensor], torch.Tensor]
    to_scores: Callable[[np.ndarray], np.ndarray]

    def scores(self, pixels: list[torch.Tensor]) -> np.ndarray:
        """Scores of pictures (3, h, w) as the processor makes them; shape (pictures, classes).

        Raises:
            InputError: the device's memory does not hold so many at a time.
        """
        if len({picture.shape for picture in pixels}) > 1:  # a processor that leaves a picture its shape
            return np.concatenate([self.scores([picture]) for picture in pixels])
        try:
            outputs = self.logits(torch.stack(pixels))
        except torch.OutOfMemoryError:
            raise InputError(f"--batch-size: the device's memory does not hold {len(pixels)} pictures") from None
        return self.to_scores(outputs.numpy())


def open_classifier(
    name: str, device: torch.device | str = "cpu", trust_remote_code: bool = False, half: bool = False
) -> Classifier:
    """Open a folder or Hub model: one of ours, of transformers, of timm, an export, or one that brings its code.

    Args:
        device: where it runs.
        trust_remote_code: whether code that comes with the model may be run.
        half: compute in float16; the scores then differ by a thousandth, and the name says so.

    Raises:
        InputError: nothing there, no image classifier, code that is not trusted, weights that are not complete, a
            device that is not there, or half precision of an export.
    """
    from hf_imgcls.exported.model import is_exported, open_exported  # it makes a Classifier, too

    if is_exported(name):
        if half:
            raise InputError(f"--half: {name} is an export, with a precision of its own; leave it out")
        return open_exported(name, device)
    network, processor = load_network(name, trust_remote_code)
    grey = PIL.Image.new("RGB", (320, 240), "grey")
    with one_line(f"model {name!r}"):
        pixels = process_image(processor, grey)
        signed = model_digest(network.config.id2label, pixels, map(_as_bytes, network.state_dict().values()))
        channels_last(network, pixels.shape[-2:])
        fold_batch_norms(network, pixels.shape[-2:])
    with one_line(f"--device {device}"):
        network.to(device, torch.float16 if half else network.dtype)

    def logits(pixels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network(pixel_values=pixels.to(device, network.dtype)).logits.float().cpu()

    config = network.config
    with one_line(f"model {name!r}"):
        logits(pixels[None])
    shown = Path(name).expanduser().resolve().name if Path(name).expanduser().is_dir() else name
    labels = [config.id2label[i] for i in range(config.num_labels)]
    return Classifier(f"{shown}@{signed}{'-half' if half else ''}", labels, processor, logits, score_function(config))


def score_function(config: PreTrainedConfig) -> Callable[[np.ndarray], np.ndarray]:
    """How `pipeline` makes scores of a model's outputs: softmax, sigmoids for several labels at once, or nothing."""
    functions = {"none": lambda outputs: outputs, "sigmoid": lambda outputs: 1 / (1 + np.exp(-outputs))}
    return functions.get(activation(config), _softmax)


def activation(config: PreTrainedConfig) -> str:
    """The name of a model's score function: "softmax", "sigmoid" or "none"."""
    if config.problem_type == "regression":
        return "none"
    several = config.problem_type == "multi_label_classification" or config.num_labels == 1
    return "sigmoid" if several else "softmax"


def _softmax(outputs: np.ndarray) -> np.ndarray:
    powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def load_network(name: str, trust_remote_code: bool = False):
    """(network in eval mode, image processor); in the precision that the weights were saved in, as pipeline does.

    Raises:
        InputError: as `open_classifier`.
    """
    section = ModelSection(checkpoint=name)
    place = resolve_checkpoint(section)
    if not Path(place).is_dir():
        use_hub()
    with one_line(f"model {name!r}"):
        settings, _ = PreTrainedConfig.get_config_dict(place)
    code = settings.get("auto_map", {}).get("AutoModelForImageClassification")
    foreign = code is not None and settings.get("model_type") not in CONFIG_MAPPING  # our networks are in it
    if foreign and not trust_remote_code:
        raise InputError(
            f"model {name!r}: brings the code of its network ({code.partition('.')[0]}.py); if you trust it, add "
            "--trust-remote-code"
        )
    with one_line(f"model {name!r}"):
        config = AutoConfig.from_pretrained(place, trust_remote_code=True) if foreign else get_config(section)
        network, info = AutoModelForImageClassification.from_pretrained(
            place,
            config=config,
            dtype="auto",
            use_safetensors=True,
            output_loading_info=True,
            trust_remote_code=trust_remote_code,
        )
    lost = sorted(info["missing_keys"])
    if lost:
        raise InputError(
            f"model {name!r}: lacks {len(lost)} tensors of {type(network).__name__} ({lost[0]}, ...): it is no "
            "classifier that was trained"
        )
    return network.eval(), get_processor(section, config)


def model_digest(labels: dict[int, str], pixels: torch.Tensor, weights: Iterable[bytes | np.ndarray]) -> str:
    """What a model answers depends on: its labels, its weights, the size and the scale of the pictures it sees."""
    digest = hashlib.blake2b(digest_size=6)
    digest.update(json.dumps([labels, list(pixels.shape), round(float(pixels.mean()), 3)]).encode())
    for content in weights:
        digest.update(content)
    return digest.hexdigest()


def _as_bytes(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().flatten().view(torch.uint8).numpy()
