"""Serves this model on Hugging Face Inference Endpoints; written by `hf-imgcls push --with-handler`.

https://huggingface.co/docs/inference-endpoints/engines/toolkit: {"inputs": IMAGE, "parameters": {"top_k": 3}}
"""

import base64
import io
import math
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from safetensors.torch import load_file
from torch import cosine_similarity
from transformers import pipeline
from transformers.image_utils import load_image

MAX_PIXELS, MAX_ASPECT_RATIO = 89_478_485, 100  # a few KB can decode to gigabytes
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF")  # not those that Pillow hands to other programs
# What Pillow raises on damaged images.
UNREADABLE = (
    OSError, ValueError, SyntaxError, EOFError, LookupError, ArithmeticError, RuntimeError, TypeError, AttributeError,
    AssertionError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


class EndpointHandler:
    """Labels of images as the model was scored: with the thresholds in its config.json, where it has some."""

    def __init__(self, path: str = "", device: str | None = None):
        device = device or ("cuda:0" if torch.cuda.is_available() else "cpu")
        self.classifier = pipeline("image-classification", model=path, device=device, trust_remote_code=True)
        network, self.one = self.classifier.model, threading.Lock()
        config = network.config
        self.labels, self.thresholds = config.num_labels, getattr(config, "label_thresholds", None) or {}
        self.several = config.problem_type == "multi_label_classification"
        found = getattr(config, "none_of_these", None)
        known = isinstance(found, dict) and found.get("by") in ("score", "energy", "distance")
        self.rejection, self.known, self.features = found if known else None, {}, []
        if known and found["by"] == "distance":
            self.known = load_file(Path(path, "none_of_these.safetensors"))
            head = network.get_submodule(self.rejection["head"])
            head.register_forward_pre_hook(lambda _, inputs: self.features.append(inputs[0].flatten(1).float().cpu()))

    def __call__(self, data: dict) -> list:
        """Labels with their scores, the best first: {"label": ..., "score": ...}; of a list of images a list of those.

        An image below the threshold of none of these has that label first, with no score (null). Of several labels an
        image those that reach their thresholds are returned; with top_k as many as it says, whatever their scores.

        Args:
            data: `inputs`, an image or a list of them: a PIL image, its file's bytes, or these in base64; and
                `parameters`: `top_k`, the most labels (5 if not given).

        Raises:
            ValueError: what is wrong with the request, in a line; the endpoint's status is then 400.
        """
        top_k = read_top_k(data.get("parameters") or {})
        if "inputs" not in data:
            raise ValueError('the request has no "inputs": send an image, or JSON with its bytes in base64')
        inputs = data["inputs"]
        with self.one:  # an image at a time is decoded and classified, whatever the number of clients
            if isinstance(inputs, list):
                return [self.classify(read_image(each), top_k) for each in inputs]
            return self.classify(read_image(inputs), top_k)

    def classify(self, image: Image.Image, top_k: int | None) -> list[dict]:
        if self.several:
            best = check_numbers(self.classifier(image, top_k=self.labels, function_to_apply="sigmoid"))
            reached = [each for each in best if each["score"] >= self.thresholds.get(each["label"], 0.5)]
            return best[:top_k] if top_k else reached
        if self.rejection:
            return self.classify_or_reject(image, top_k or 5)
        return check_numbers(self.classifier(image, top_k=top_k or 5))

    def classify_or_reject(self, image: Image.Image, top_k: int) -> list[dict]:
        logits = check_numbers(self.classifier(image, top_k=self.labels, function_to_apply="none"))
        highest = logits[0]["score"]
        energy = highest + math.log(sum(math.exp(each["score"] - highest) for each in logits))
        confidence = energy if self.rejection["by"] == "energy" else math.exp(highest - energy)
        if self.known:
            standardized = (self.features.pop() - self.known["centre"]) / self.known["scale"]
            confidence = float(cosine_similarity(standardized, self.known["means"]).max())
        best = [{"label": each["label"], "score": math.exp(each["score"] - energy)} for each in logits]
        none = [] if confidence >= self.rejection["threshold"] else [{"label": "none of these", "score": None}]
        return [*none, *best][:top_k]


def read_top_k(parameters: dict) -> int | None:
    unknown = [str(key) for key in parameters if key != "top_k"]
    if unknown:
        raise ValueError(f"parameters: {unknown[0][:60]!r} is unknown; there is top_k")
    top_k = parameters.get("top_k")
    if top_k is not None and (type(top_k) is not int or top_k < 1):
        raise ValueError(f"parameters: top_k must be a whole number from 1, found {str(top_k)[:60]!r}")
    return top_k


def read_image(value) -> Image.Image:
    """An RGB image of what a request holds; a ValueError of one line where it cannot be read."""
    if not isinstance(value, str | bytes | bytearray | Image.Image):
        kind = type(value).__name__
        raise ValueError(f"inputs: found {kind}, expected the bytes of an image, in base64 where they are sent as JSON")
    try:
        if isinstance(value, str):
            value = base64.b64decode(value.partition(",")[2] if value.startswith("data:") else value, validate=True)
    except ValueError:
        raise ValueError("inputs: the text is not base64; addresses and names of files are not read") from None
    try:
        Image.init()
        known = [name for name in FORMATS if name in Image.OPEN]  # an older Pillow has no AVIF
        image = value if isinstance(value, Image.Image) else Image.open(io.BytesIO(value), formats=known)
        width, height = image.size
        if width * height > MAX_PIXELS or max(image.size) > MAX_ASPECT_RATIO * min(image.size):
            raise ValueError(f"{width}x{height} pixels are too many, or too long and narrow")
        upright = load_image(image)
        check_left(image, upright)
        upright.info.clear()  # pipeline reads the EXIF data once more, which may be damaged
        return upright
    except UnidentifiedImageError:
        reason = f"it is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, or its header is broken"
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
    raise ValueError(f"inputs: the image cannot be read: {reason}")


def check_left(image: Image.Image, rgb: Image.Image) -> None:
    """A ValueError where the conversion to RGB has left too little of an image: `predict` refuses the same ones."""
    if image.mode[0] in "IF":
        values, what = sample(image), "its values are clipped to 0 to 255; scale them to 8 bits"
    elif image.has_transparency_data:
        values = sample(image.convert("RGBA").getchannel("A"))
        what = "what it shows is in its alpha channel; put it on a background"
    else:
        return
    left = sample(rgb)
    darkest, lightest = np.quantile(left, [0.001, 0.999])
    empty = (lightest <= 1 or darkest >= 254) and len(np.unique(values)) > len(np.unique(left))
    if empty or np.mean((values < 0) | (values > 255)) > 0.01:
        raise ValueError(f"white or black as 8-bit RGB: {what}")


def sample(image: Image.Image) -> np.ndarray:
    """Values of an image, shape (pixels, bands), evenly spread; not a number counts as 0, as in the conversion."""
    values = np.asarray(image).reshape(image.width * image.height, -1)
    return np.nan_to_num(values[:: -(-len(values) // (1 << 20))])


def check_numbers(predictions: list[dict]) -> list[dict]:
    if not all(math.isfinite(each["score"]) for each in predictions):
        raise ValueError("the model's scores are not numbers")
    return predictions
