"""The page of a model: drop an image, see its labels as bars; callable with gradio_client as `/predict`.

Imports nothing of the package: the file goes as it is beside the app of a Space.
"""

import html
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import gradio as gr
from PIL import Image, UnidentifiedImageError
from transformers.image_utils import load_image

Classify = Callable[[Image.Image], list[dict]]
# How the page is launched, everywhere. The fonts are the visitor's own: a theme's would be fetched.
LOOK = {
    "theme": gr.themes.Default(
        primary_hue="blue", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
    ),
    "css": ".gradio-container {max-width: 68rem !important; margin: auto}",
    "footer_links": ["api"],
    "run_history": False,
    "ssr_mode": False,
}


def make_page(classify: Classify, title: str, about: str, examples: Sequence[str] = ()) -> gr.Blocks:
    """The page, to be launched.

    Args:
        classify: an RGB image's labels, the best first, as `pipeline` says them: `{"label": ..., "score": ...}`.
        title, about: Markdown, a line each.
        examples: paths of images that a browser can show.
    """

    def predict(image: str | None) -> dict[str, float] | None:
        return None if image is None else _bars(classify(_read(image)))

    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown(f"# {title}\n{about}")
        with gr.Row(equal_height=True):
            image = gr.Image(
                label="Image", type="filepath", sources=["upload", "clipboard"], buttons=["fullscreen"], height=360
            )
            bars = gr.Label(label="Labels")
        if examples:
            gr.Examples(list(examples), image, label="Examples", cache_examples=False)
        image.preprocess = _hand_over(image)
        image.change(predict, image, bars, api_name="predict", show_progress="minimal")
    return page


def _hand_over(image: gr.Image) -> Callable:
    """What gives `predict` the file that was sent.

    By itself gradio would turn, convert and write it again, crash on what is no image, and take any file of the
    machine that a caller names without the mark of an upload.
    """
    convert, uploads = image.preprocess, Path(image.GRADIO_CACHE).resolve()

    def hand_over(sent) -> str | None:
        path = sent.path if sent and sent.path else convert(sent)
        if path is not None and not Path(path).resolve().is_relative_to(uploads):
            raise _said("This image was not sent")
        return path

    return hand_over


def _read(path: str) -> Image.Image:
    """As `pipeline` reads it: first frame, EXIF orientation applied, RGB."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return load_image(Image.open(path))
    except UnidentifiedImageError:
        why = "not an image, or its header is broken"
    except Exception as error:  # each of Pillow's plugins has its own way to say no
        why = " ".join(str(error).split()) or type(error).__name__
    raise _said(f"This image cannot be read: {why}")


def _bars(answers: list[dict]) -> dict[str, float]:
    if not all(math.isfinite(answer["score"]) for answer in answers):
        raise _said("The model's scores are not numbers")
    bars: dict[str, float] = {}
    for answer in answers:  # of two classes with one name, as ImageNet has them, the better one
        bars.setdefault(answer["label"], answer["score"])
    return bars


def _said(line: str) -> gr.Error:
    return gr.Error(html.escape(line, quote=False), duration=None, title="No answer", print_exception=False)
