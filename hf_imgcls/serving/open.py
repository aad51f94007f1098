"""Opening any model for prediction."""

from pathlib import Path
from typing import NamedTuple

import PIL.Image
import torch

from hf_imgcls.errors import InputError
from hf_imgcls.images import process_image
from hf_imgcls.models import as_bytes, as_input_error, channels_last, fold_batch_norms, load_network
from hf_imgcls.serving.classifier import Classifier, model_digest, score_function
from hf_imgcls.serving.export.folder import is_exported
from hf_imgcls.serving.export.formats import open_exported


class PredictOptions(NamedTuple):
    """How to predict."""

    top_k: int = 5  # labels per image
    batch_size: int | None = None  # None: a default for the device
    device: str | None = None  # None: an accelerator, or else the CPU
    trust_remote_code: bool = False  # whether code that comes with the model may be run
    half: bool = False  # compute in float16


def open_classifier(
    name: str, device: torch.device | str = "cpu", trust_remote_code: bool = False, half: bool = False
) -> Classifier:
    """Open a folder or Hub model: of this package, transformers or timm, an export, or one with code of its own.

    Args:
        device: where it runs.
        trust_remote_code: whether code that comes with the model may be run.
        half: compute in float16; scores differ by about 1e-3, and the name ends in `-half`.

    Raises:
        InputError: there is no such model or device, it is no image classifier, its code is not trusted, weights are
            missing, or half precision of an export.
    """
    if is_exported(name):
        if half:
            raise InputError(f"--half: {name} is an export, whose precision is fixed; leave it out")
        return open_exported(name, device)
    network, processor = load_network(name, dtype="auto", trust_remote_code=trust_remote_code)
    grey = PIL.Image.new("RGB", (320, 240), "grey")
    with as_input_error(f"model {name!r}"):
        pixels = process_image(processor, grey)
        digest = model_digest(network.config.id2label, pixels, map(as_bytes, network.state_dict().values()))
        channels_last(network, pixels.shape[-2:])
        fold_batch_norms(network, pixels.shape[-2:])
    with as_input_error(f"--device {device}"):
        network.to(device, torch.float16 if half else network.dtype)

    def logits(pixels: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return network(pixel_values=pixels.to(device, network.dtype)).logits.float().cpu()

    config = network.config
    with as_input_error(f"model {name!r}"):
        logits(pixels[None])
    shown = Path(name).expanduser().resolve().name if Path(name).expanduser().is_dir() else name
    labels = [config.id2label[i] for i in range(config.num_labels)]
    return Classifier(f"{shown}@{digest}{'-half' if half else ''}", labels, processor, logits, score_function(config))
