"""What an image processor does to an image, in words that a program without transformers can follow, and verified.

Every family has its own words for its resizing, so the likely readings of them are tried: what comes out is what
counts.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from hf_imgcls.images import channel_order, input_size, normalization, process_image

_NEAR = 1.0  # levels of 255 on average: Pillow and torchvision round differently, another rule is 10 or more away
# So many that among them, for any crop, is a margin that ends in half a pixel and is rounded up by one way alone.
_SIZES = ((347, 232), (233, 346), (301, 200), (211, 300), (259, 190), (331, 250))


def describe_pixels(processor) -> dict[str, Any]:
    """The way from an image to pixels, ready for JSON.

    Returns:
        `height`, `width`, `scale`, `mean`, `std` (in the order of the model's channels), `channel_order`, `resize` and
        `crop`; both of these None, and `own_way` the processor's name, where it does something of its own.
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
    images = [_noise(size) for size in _SIZES]
    wanted = [process_image(processor, image).numpy() for image in images]
    best, distance = None, _NEAR
    for rule in _readings(processor, height, width):
        made = [prepare(image, {**about, **rule}) for image in images]
        found = max(_levels(one, other, about) for one, other in zip(made, wanted, strict=True))
        if found < distance:
            best, distance = rule, found
    return {**about, **(best or {"resize": None, "crop": None, "own_way": type(processor).__name__})}


def prepare(image: Image.Image, about: dict[str, Any]) -> np.ndarray:
    """An RGB image as such a description says it: float32, shape (3, height, width)."""
    resize, crop = about["resize"], about["crop"]
    shorter = min(image.size)
    size = (resize["width"], resize["height"]) if "width" in resize else tuple(
        side * resize["shorter_side"] // shorter for side in image.size
    )  # fmt: skip
    image = image.resize(size, Image.Resampling[resize["resample"].upper()])
    if crop:
        half = {"down": int, "even": round}[crop["half_pixel"]]
        left, top = half((size[0] - crop["width"]) / 2), half((size[1] - crop["height"]) / 2)
        image = image.crop((left, top, left + crop["width"], top + crop["height"]))
    values = np.asarray(image, np.float32)[..., ["RGB".index(channel) for channel in about["channel_order"]]]
    return ((values * about["scale"] - about["mean"]) / about["std"]).transpose(2, 0, 1).astype(np.float32)


def usage(about: dict[str, Any]) -> str:
    """The same as lines of Python for people to copy, from a photo's name to a label."""
    imports = ["import onnxruntime", "from PIL import Image, ImageOps"]
    if about["resize"] is None:
        imports.append("from transformers import AutoImageProcessor")
        steps = ['pixels = AutoImageProcessor.from_pretrained(".")(image, return_tensors="pt")["pixel_values"].numpy()']
    else:
        imports.insert(0, "import numpy as np")
        steps = [*_resizing(about["resize"], about["crop"]), _normalising(about)]
    return "\n".join(
        [
            "import json",
            "",
            *imports,
            "",
            'about = json.load(open("preprocessing.json", encoding="utf-8"))',
            'image = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB")',
            *steps,
            'logits = onnxruntime.InferenceSession("model.onnx").run(["logits"], {"pixel_values": pixels})[0][0]',
            'print(about["labels"][logits.argmax()])',
        ]
    )


def _resizing(resize: dict, crop: dict | None) -> list[str]:
    how = f"Image.Resampling.{resize['resample'].upper()}"
    if "width" in resize:
        size = f"({resize['width']}, {resize['height']})"
    else:
        size = f"[side * {resize['shorter_side']} // min(image.size) for side in image.size]"
    lines = [f"image = image.resize({size}, {how})"]
    if crop:
        width, height, half = crop["width"], crop["height"], {"down": "int", "even": "round"}[crop["half_pixel"]]
        lines.append(f"left, top = {half}((image.width - {width}) / 2), {half}((image.height - {height}) / 2)")
        lines.append(f"image = image.crop((left, top, left + {width}, top + {height}))")
    return lines


def _normalising(about: dict) -> str:
    order = {"RGB": "", "BGR": "[..., ::-1]"}.get(about["channel_order"])
    if order is None:
        order = f"[..., {['RGB'.index(channel) for channel in about['channel_order']]}]"
    values = f'np.asarray(image, np.float32){order} * about["scale"]'
    return f'pixels = (({values} - about["mean"]) / about["std"]).transpose(2, 0, 1)[None].astype(np.float32)'


def _readings(processor, height: int, width: int) -> Iterator[dict[str, Any]]:
    """Rules that a processor's words may mean."""
    words = getattr(processor, "data_config", None) or processor.to_dict()  # timm's, which keeps its words there
    resample = words.get("interpolation") or _resample(words.get("resample"))
    size = {key: value for key, value in dict(words.get("size") or {}).items() if value}
    square = {"height": size.get("height", height), "width": size.get("width", width)}
    shorter, whole = size.get("shortest_edge", min(height, width)), {"height": height, "width": width}
    resizes: list[dict[str, Any]] = [whole, square, {"shorter_side": shorter}, {"height": shorter, "width": shorter}]
    for part in (words.get("crop_pct") or 1, 224 / 256):  # the second is LeViT's, without a word
        resizes += [{"height": int(height / part), "width": int(width / part)}, {"shorter_side": int(shorter / part)}]
    for resize in resizes:
        rule = {"resize": {**resize, "resample": resample}}
        if resize == whole:
            yield {**rule, "crop": None}
        else:
            yield from ({**rule, "crop": {**whole, "half_pixel": half}} for half in ("down", "even"))


def _resample(number: int | None) -> str:
    return Image.Resampling(Image.Resampling.BILINEAR if number is None else number).name.lower()


def _noise(size: tuple[int, int]) -> Image.Image:
    """Soft and hard edges, in which a shift by half a pixel shows."""
    random = np.random.default_rng(size)
    soft = Image.fromarray(random.integers(0, 256, (9, 9, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    hard = Image.fromarray(random.integers(0, 256, (size[1] // 4, size[0] // 4, 3), np.uint8))
    return Image.blend(soft, hard.resize(size, Image.Resampling.NEAREST), 0.5)


def _levels(one: np.ndarray, other: np.ndarray, about: dict[str, Any]) -> float:
    """Mean distance of two preparations in levels of 255."""
    if one.shape != other.shape:
        return float("inf")
    return float(np.abs((one - other) * np.reshape(about["std"], (3, 1, 1)) / about["scale"]).mean())
