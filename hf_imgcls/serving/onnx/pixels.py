"""Describes an image processor so that programs without transformers can do the same.

Each family of models configures its resizing differently: all likely interpretations are run, and the one whose pixels
match is described.
"""

import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from hf_imgcls.images import channel_order, input_size, normalization, process_image
from hf_imgcls.scoring import REJECTION

_MATCH = 1.0  # of 255 levels on average: Pillow and torchvision round differently, other rules differ by 10 or more
# For any crop, one of them has a margin of half a pixel that the two ways of rounding treat differently.
_SIZES = ((347, 232), (233, 346), (301, 200), (211, 300), (259, 190), (331, 250))


def describe_pixels(processor) -> dict[str, Any]:
    """The steps from an image to pixels, for preprocessing.json.

    Returns:
        `height`, `width`, `scale`, `mean`, `std` (in the order of the model's channels), `channel_order`, `resize` and
        `crop`; where no interpretation matches, these two are None and `own_way` is the processor's name.
    """
    height, width = input_size(processor)
    scale, shift = (each.flatten().double().numpy() for each in normalization(processor))
    about = {
        "height": height,
        "width": width,
        "scale": 1 / 255,
        "mean": [round(value, 6) + 0.0 for value in (-shift / (255 * scale)).tolist()],
        "std": [round(value, 6) for value in (1 / (255 * scale)).tolist()],
        "channel_order": "".join("RGB"[channel] for channel in channel_order(processor)),
    }
    bars = (process_image(processor, Image.new("RGB", (9 * width, height))).numpy()[:, 0, 0] - shift) / scale
    bars = [round(float(level)) for level in bars]  # black where nothing is padded
    images = sample_images()
    expected = [process_image(processor, image).numpy() for image in images]
    best, distance = None, _MATCH
    for rule in _interpretations(processor, height, width, bars):
        pixels = [prepare(image, {**about, **rule}) for image in images]
        difference = max(_difference(one, other, about) for one, other in zip(pixels, expected, strict=True))
        if difference < distance:
            best, distance = rule, difference
    return {**about, **(best or {"resize": None, "crop": None, "own_way": type(processor).__name__})}


def resized_size(size: tuple[int, int], resize: dict) -> tuple[int, ...]:
    """Width and height to which an image of this width and height is resized."""
    if "shorter_side" in resize:
        return tuple(side * resize["shorter_side"] // min(size) for side in size)
    if "longer_side" in resize:
        return tuple(max(1, round(side * resize["longer_side"] / max(size))) for side in size)
    return resize["width"], resize["height"]


def prepare(image: Image.Image, about: dict) -> np.ndarray:
    """Pixels of an RGB image, as preprocessing.json describes them: float32, shape (3, height, width)."""
    resize, crop, pad = about["resize"], about["crop"], about.get("pad")
    image = image.resize(resized_size(image.size, resize), Image.Resampling[resize["resample"].upper()])
    if crop:
        half = {"down": int, "even": round}[crop["half_pixel"]]
        left, top = half((image.width - crop["width"]) / 2), half((image.height - crop["height"]) / 2)
        image = image.crop((left, top, left + crop["width"], top + crop["height"]))
    if pad:
        background = Image.new("RGB", (about["width"], about["height"]), tuple(pad["colour"]))
        background.paste(image, ((about["width"] - image.width) // 2, (about["height"] - image.height) // 2))
        image = background
    values = np.asarray(image, np.float32)[..., ["RGB".index(channel) for channel in about["channel_order"]]]
    return ((values * about["scale"] - about["mean"]) / about["std"]).transpose(2, 0, 1).astype(np.float32)


def code_of_prepare() -> str:
    """`prepare` and what it calls, to copy."""
    return "\n\n".join(map(inspect.getsource, (resized_size, prepare)))


_USAGE = """\
import json

import {module}
from PIL import Image, ImageOps
{definition}

about = json.load(open("preprocessing.json", encoding="utf-8"))
image = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB")
pixels = {pixels}
logits = {run}
{label}"""
_ONNXRUNTIME = (
    "onnxruntime",
    'onnxruntime.InferenceSession("model.onnx").run(["logits"], {"pixel_values": pixels})[0][0]',
)
_LABEL = 'print(about["labels"][logits.argmax()])'
_CONFIDENCE = {
    "score": "1 / np.exp(logits - logits.max()).sum()",
    "energy": "logits.max() + np.log(np.exp(logits - logits.max()).sum())",
}
_OR_NONE = """\
confidence = {confidence}
known = confidence >= about["none_of_these"]["threshold"]
print(about["labels"][logits.argmax()] if known else "none of these")"""


_SEVERAL = """\
scores = zip(about["labels"], 1 / (1 + np.exp(-logits)), about["thresholds"])
print([label for label, score, threshold in scores if score >= threshold])"""


def usage(about: dict[str, Any], runtime: tuple[str, str] = _ONNXRUNTIME) -> str:
    """Python code to copy, from a file to a label, with the function that the description was compared with.

    Args:
        runtime: a module, and the expression that makes the logits of an image of `pixels`.
    """
    if about["resize"]:
        definition, pixels = f"import numpy as np\n\n\n{code_of_prepare()}", "prepare(image, about)[None]"
    else:
        definition = "from transformers import AutoImageProcessor"
        pixels = 'AutoImageProcessor.from_pretrained(".")(image, return_tensors="pt")["pixel_values"].numpy()'
    label = _LABEL
    if "thresholds" in about:
        label = _SEVERAL
    if rejection := about.get(REJECTION):
        label = _OR_NONE.format(confidence=_CONFIDENCE[rejection["by"]])
    if not about["resize"] and label != _LABEL:
        definition = f"import numpy as np\n{definition}"
    module, run = runtime
    return _USAGE.format(module=module, definition=definition, pixels=pixels, run=run, label=label)


def _interpretations(processor, height: int, width: int, bars: list[int]) -> Iterator[dict[str, Any]]:
    """Rules for resizing, cropping and padding (with this colour) that a processor's configuration may mean."""
    settings = getattr(processor, "data_config", None) or processor.to_dict()  # timm's has its settings there
    resample = settings.get("interpolation")
    if not resample:
        number = settings.get("resample")
        resample = Image.Resampling(Image.Resampling.BILINEAR if number is None else number).name.lower()
    size = {key: value for key, value in dict(settings.get("size") or {}).items() if value}
    if settings.get("do_pad") or settings.get("crop_mode") == "border":
        longer = {"longer_side": max(height, width), "resample": resample}
        yield {"resize": longer, "crop": None, "pad": {"colour": bars}}
    square = {"height": size.get("height", height), "width": size.get("width", width)}
    shorter, whole = size.get("shortest_edge", min(height, width)), {"height": height, "width": width}
    resizes: list[dict[str, Any]] = [whole, square, {"shorter_side": shorter}, {"height": shorter, "width": shorter}]
    for part in (settings.get("crop_pct") or 1, 224 / 256):  # the second is LeViT's, which has no setting for it
        resizes += [{"height": int(height / part), "width": int(width / part)}, {"shorter_side": int(shorter / part)}]
    for resize in resizes:
        rule = {"resize": {**resize, "resample": resample}}
        if resize == whole:
            yield {**rule, "crop": None}
        else:
            yield from ({**rule, "crop": {**whole, "half_pixel": half}} for half in ("down", "even"))


def sample_images() -> list[Image.Image]:
    """Images of several sizes that no two rules prepare alike."""
    return [_noise(size) for size in _SIZES]


def _noise(size: tuple[int, int]) -> Image.Image:
    """Soft and hard edges, on which a shift by half a pixel is visible."""
    random = np.random.default_rng(size)
    soft = Image.fromarray(random.integers(0, 256, (9, 9, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    hard = Image.fromarray(random.integers(0, 256, (size[1] // 4, size[0] // 4, 3), np.uint8))
    return Image.blend(soft, hard.resize(size, Image.Resampling.NEAREST), 0.5)


def _difference(one: np.ndarray, other: np.ndarray, about: dict[str, Any]) -> float:
    """Mean absolute difference of pixels in 255 levels."""
    if one.shape != other.shape:
        return float("inf")
    return float(np.abs((one - other) * np.reshape(about["std"], (3, 1, 1)) / about["scale"]).mean())
