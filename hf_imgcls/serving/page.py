"""The web page of a model: upload an image, see its labels as bars; callable with gradio_client as `/predict`.

Imports nothing of this package: the file is copied beside the app of a Space.
"""

import html
import math
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import gradio as gr
import numpy as np
from fastapi import HTTPException
from gradio.components.label import LabelConfidence, LabelData
from PIL import Image, UnidentifiedImageError
from safetensors.torch import load_file
from starlette.middleware import Middleware
from torch import cosine_similarity
from transformers.image_utils import load_image
from transformers.utils import cached_file

Classify, Read = Callable[[Image.Image], list[dict]], Callable[[str], Image.Image]
# Of an uploaded image: a few KB can decode to gigabytes, and a processor that resizes the shorter side can make them.
MAX_PIXELS, MAX_ASPECT_RATIO = 89_478_485, 100
MAX_BYTES = 64 * 1024**2  # of a request
# Not those that Pillow hands to other programs (EPS), or that are no images of a camera, a screen or the web.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "AVIF", "HEIF", "JPEG2000", "PPM", "TGA", "MPO")
_ONE = threading.Lock()  # an image at a time is decoded, whatever the number of visitors


class LimitBody:
    """Ends a request with 413 when its body has more bytes than `most`; the client may also go away before its end."""

    def __init__(self, app, most: int = MAX_BYTES):
        self.app, self.most = app, most

    async def __call__(self, scope, receive, send):
        said, came, whole = int(dict(scope.get("headers", ())).get(b"content-length", 0)), 0, False

        async def counted():
            nonlocal came, whole
            message = {} if said > self.most else await receive()
            came += len(message.get("body", b""))
            if max(said, came) > self.most:
                raise HTTPException(413, f"more than {self.most:,} bytes")
            if message["type"] == "http.disconnect" and said and not whole:
                raise HTTPException(400, "the client has gone")
            whole = not message.get("more_body")
            return message

        await self.app(scope, counted if scope["type"] == "http" else receive, send)


# Arguments of `launch`, on this machine as in a Space. The fonts are the visitor's: a theme's would be downloaded.
LAUNCH = {
    "theme": gr.themes.Default(
        primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    ),
    "css": ".gradio-container {max-width: 68rem !important; margin: auto}",
    "footer_links": ["api"],
    "run_history": False,
    "ssr_mode": False,
    "max_file_size": MAX_BYTES,
    "app_kwargs": {"middleware": [Middleware(LimitBody)]},
}
# What Pillow's plugins and `load_image` raise on damaged images.
_UNREADABLE = (
    OSError, ValueError, SyntaxError, EOFError, LookupError, ArithmeticError, RuntimeError, TypeError, AttributeError,
    AssertionError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


def load(path: str) -> Image.Image:
    """As `pipeline` reads it: first frame, EXIF orientation applied, RGB.

    Raises:
        ValueError: it is too large, or nothing of it is left as 8-bit RGB.
    """
    image = Image.open(path)
    width, height = image.size
    if width * height > MAX_PIXELS or max(image.size) > MAX_ASPECT_RATIO * min(image.size):
        raise ValueError(f"{width}x{height} pixels; at most {MAX_PIXELS:,} and a ratio of sides of {MAX_ASPECT_RATIO}")
    upright = load_image(image)
    check_left(image, upright)
    upright.info.clear()  # pipeline reads the EXIF data once more, which may be damaged
    return upright


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


def make_page(classify: Classify, title: str, about: str, examples: Sequence[str] = (), read: Read = load) -> gr.Blocks:
    """The page, ready to be launched.

    Args:
        classify: returns an RGB image's predictions as `pipeline` does, the best first: `{"label": ..., "score": ...}`;
            the first may have no score (None), the label of an image that shows none of the classes.
        title, about: Markdown, a line each.
        examples: paths of images in a format that browsers show.
        read: reads the image of a path, RGB; what is wrong with it is an OSError or a ValueError.
    """

    def predict(image: str | None) -> dict[str, float] | LabelData | None:
        if image is None:
            return None
        with _ONE:
            return _bars(classify(_read(image, read)))

    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown(f"# {title}\n{about}")
        with gr.Row(equal_height=True):
            image = gr.Image(
                label="Image", type="filepath", sources=["upload", "clipboard"], buttons=["fullscreen"], height=360
            )
            bars = gr.Label(label="Prediction")
        if examples:
            gr.Examples(list(examples), image, label="Examples", cache_examples=False)
        image.preprocess = _uploads_only(image)
        convert = bars.postprocess  # which takes no label that is above others without a score of its own
        bars.postprocess = lambda found: found if isinstance(found, LabelData) else convert(found)
        # In the browser: the bars of the image before go, and its prediction, if it is still to come, is not shown
        # beside the next one, also where that cannot be read. By default, an event is dropped while one like it runs.
        empty = {"fn": None, "inputs": None, "outputs": bars, "js": "() => null"}
        predicted = image.change(**empty).then(
            predict, image, bars, api_name="predict", show_progress="minimal", trigger_mode="multiple"
        )
        predicted.failure(**empty)
        image.change(None, None, None, cancels=[predicted])
    return page.queue(api_open=False)  # a request beside the queue would be answered at once, and an error with 500


def _uploads_only(image: gr.Image) -> Callable:
    """A `preprocess` that passes the uploaded file on as it is.

    gradio's own would rotate, convert and rewrite it, crash on what is no image, and read any file of this machine
    that a caller names without marking it as an upload.
    """
    convert, uploads = image.preprocess, Path(image.GRADIO_CACHE).resolve()

    def preprocess(payload) -> str | None:
        path = payload.path if payload and payload.path else convert(payload)
        if path is not None and not Path(path).resolve().is_relative_to(uploads):
            raise _error("Only uploaded images can be classified")
        return path

    return preprocess


def _read(path: str, read: Read = load) -> Image.Image:
    """An uploaded image, or the page's error."""
    try:
        with warnings.catch_warnings(action="ignore"):
            Image.init()
            Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN]).close()
            return read(path)
    except UnidentifiedImageError:
        reason = "not an image, or its header is broken"
    except _UNREADABLE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
    raise _error(f"This image cannot be read: {reason}")


def with_thresholds(classifier, top_k: int) -> Classify:
    """The labels of an image whose scores reach their thresholds; where none does, the best behind a word for that."""
    settings = classifier.model.config
    thresholds = getattr(settings, "label_thresholds", None) or {}

    def classify(image: Image.Image) -> list[dict]:
        best = classifier(image, top_k=settings.num_labels, function_to_apply="sigmoid")
        if not all(math.isfinite(each["score"]) for each in best):
            return best
        chosen = [each for each in best if each["score"] >= thresholds.get(each["label"], 0.5)]
        return chosen or [{"label": "none of the labels", "score": None}, *best[:top_k]]

    return classify


def with_rejection(classifier, top_k: int, revision: str | None = None) -> Classify:
    """A pipeline's predictions, with none of these before them where the threshold in the model's settings says so."""
    rejection, classes = classifier.model.config.none_of_these, classifier.model.config.num_labels
    known, features = {}, []
    if rejection["by"] == "distance":
        known = load_file(cached_file(classifier.model.name_or_path, "none_of_these.safetensors", revision=revision))
        head = classifier.model.get_submodule(rejection["head"])
        head.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0].flatten(1).float().cpu()))

    def classify(image: Image.Image) -> list[dict]:
        logits = classifier(image, top_k=classes, function_to_apply="none")
        highest = logits[0]["score"]
        energy = highest + math.log(sum(math.exp(each["score"] - highest) for each in logits))
        confidence = energy if rejection["by"] == "energy" else math.exp(highest - energy)
        if known:
            standardized = (features.pop() - known["centre"]) / known["scale"]
            confidence = float(cosine_similarity(standardized, known["means"]).max())
        best = [{"label": each["label"], "score": math.exp(each["score"] - energy)} for each in logits[:top_k]]
        return best if confidence >= rejection["threshold"] else [{"label": "none of these", "score": None}, *best]

    return classify


def _bars(predictions: list[dict]) -> dict[str, float] | LabelData:
    if predictions and predictions[0]["score"] is None:
        best = [LabelConfidence(label=label, confidence=score) for label, score in _bars(predictions[1:]).items()]
        return LabelData(label=predictions[0]["label"], confidences=best)
    if not all(math.isfinite(prediction["score"]) for prediction in predictions):
        raise _error("The model's scores are not numbers")
    bars: dict[str, float] = {}
    for prediction in predictions:  # ImageNet has classes of the same name: the best one is shown
        bars.setdefault(prediction["label"], prediction["score"])
    return bars


def _error(message: str) -> gr.Error:
    return gr.Error(html.escape(message, quote=False), duration=None, title="No prediction", print_exception=False)
