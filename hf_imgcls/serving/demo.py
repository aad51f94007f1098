"""A model's page on this machine: opened, given examples, and served to nobody else unless it is told to."""

import contextlib
import errno
import importlib
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import datasets
import numpy as np
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from huggingface_hub import constants
from PIL import Image

from hf_imgcls.data import find_rows
from hf_imgcls.errors import InputError
from hf_imgcls.images import open_image, process_image, read_image
from hf_imgcls.machine import exact_float32, limit_progress_bars, say
from hf_imgcls.recipe import load_recipe
from hf_imgcls.scoring import main_split
from hf_imgcls.serving.classifier import Classifier
from hf_imgcls.serving.image_list import find_images
from hf_imgcls.serving.open import PredictOptions, open_classifier
from hf_imgcls.store import RECIPE, RESULTS, read_json
from hf_imgcls.words import listed, percent, plain

_MOST = 8  # examples
_SUFFIX = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "BMP": ".bmp"}  # what browsers show
TOP_K = 5
PAGE = Path(__file__).with_name("page.py")  # a Space gets it as it is
_USUAL, _HERE = PredictOptions(TOP_K), ("127.0.0.1", 7860)


def serve_demo(
    model: str, how: PredictOptions = _USUAL, address: tuple[str, int] = _HERE, examples: str | None = None
) -> None:
    """Serve a model's page until Ctrl-C.

    Args, raises: as `open_demo`.
    """
    with open_demo(model, how, address, examples) as place, contextlib.suppress(KeyboardInterrupt):
        say(f"the demo of {model} is at {place} (Ctrl-C ends it)")
        while True:
            time.sleep(3600)


@contextlib.contextmanager
def open_demo(
    model: str, how: PredictOptions = _USUAL, address: tuple[str, int] = _HERE, examples: str | None = None
) -> Iterator[str]:
    """Serve a model's page for as long as the context lasts; what is sent to it is deleted at its end.

    Args:
        model: a folder or a Hub id, of any origin.
        how: the labels that are shown (`top_k`), where it runs, whether code is trusted.
        address: host and port.
        examples: an image, a folder or a pattern; if not given, of a run those of its evaluation split.

    Yields:
        The page's address.

    Raises:
        InputError: gradio is missing, the address cannot be had, there are no such examples, or the model cannot be
            opened.
    """
    limit_progress_bars()
    page = _page()
    if how.top_k < 1:
        raise InputError(f"--top-k: found {how.top_k}, expected 1 or more")
    _check_address(*address)
    named = list(find_images([examples])) if examples else None
    device = how.device or PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU")).device
    classifier = open_classifier(model, device, how.trust_remote_code)
    with tempfile.TemporaryDirectory(prefix="hf-imgcls-") as place, _surroundings(place, address[0]), exact_float32():
        images = evenly_spaced(named) if named else _of_run(Path(model).expanduser())
        shown = _copy(images, Path(place))
        if images and not shown:
            say("no examples: none of the images is of a kind that browsers show")
        title, about = describe_demo(classifier.name.rpartition("@")[0], classifier.labels, Path(model).expanduser())
        blocks = page.make_page(classify_function(classifier, how.top_k), title, about, shown)
        try:
            _launch(blocks, address, page.LOOK)
            yield blocks.local_url
        finally:
            blocks.close(verbose=False)


def _launch(blocks, address: tuple[str, int], look: dict[str, Any]) -> None:
    host, port = address
    try:
        blocks.launch(
            server_name=host, server_port=port, share=False, inbrowser=False, inline=False, quiet=True,
            prevent_thread_lock=True, mcp_server=False, **look,
        )  # fmt: skip
    except OSError as error:  # it wants the port on 127.0.0.1 too, and somebody may have been faster
        raise InputError(f"--port {port}: {error}") from None


def classify_function(classifier: Classifier, top_k: int) -> Callable[[Image.Image], list[dict[str, Any]]]:
    """What `pipeline(..., top_k=top_k)` answers about an image."""

    def classify(image: Image.Image) -> list[dict[str, Any]]:
        scores = classifier.scores([process_image(classifier.processor, image)])[0]
        best = np.argsort(-scores, kind="stable")[:top_k]
        return [{"label": classifier.labels[i], "score": float(scores[i])} for i in best]

    return classify


def describe_demo(name: str, labels: Sequence[str], folder: Path) -> tuple[str, str]:
    """A page's title, and in a line what the model tells apart and, of a run, how well; Markdown."""
    about = f"Tells {len(labels):,} classes of images apart: {listed(map(plain, labels), 8)}."
    if (folder / RESULTS).is_file():
        results = read_json(folder / RESULTS)
        split = main_split(results)
        if split:
            measured = results["scores"][split]
            low, high = (100 * end for end in measured["accuracy_interval_95"])
            about += f" Right on {percent(measured['accuracy'])} of {measured['images']:,} {split} images"
            about += f" (95 % interval {low:.1f} to {high:.1f} %)."
    return plain(name), about


def evenly_spaced(things: Sequence, most: int = _MOST) -> list:
    """So many of them at most, from beginning to end."""
    return [things[i] for i in np.linspace(0, len(things) - 1, min(most, len(things))).round().astype(int)]


def _page() -> ModuleType:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when it is imported, and again later
    try:
        return importlib.import_module("hf_imgcls.serving.page")
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise InputError('demo: gradio is not installed; pip install "hf-imgcls[demo]"') from None


def _check_address(host: str, port: int) -> None:
    """Gradio would only say that it cannot find a port."""
    if not 0 < port < 65536:
        raise InputError(f"--port: found {port}, expected 1 to 65535")
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(place)
    except (OSError, UnicodeError) as error:
        hint = "; name another --port" if getattr(error, "errno", None) in (errno.EADDRINUSE, errno.EACCES) else ""
        said = error.strerror if isinstance(error, OSError) else "no name of a machine"
        raise InputError(f"--host {host} --port {port}: {said}{hint}") from None


@contextlib.contextmanager
def _surroundings(place: str, host: str) -> Iterator[None]:
    """Gradio keeps what it is sent in a folder, and calls its own server, which no proxy can reach."""
    said = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    direct = ",".join(filter(None, [said, "127.0.0.1,localhost", host]))
    values = {"GRADIO_TEMP_DIR": f"{place}/sent", "no_proxy": direct, "NO_PROXY": direct}
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})


def _of_run(folder: Path) -> list[dict]:
    """Images of the split that a run was scored on, the classes in turn; none where they are not to be found."""
    if not (folder / RECIPE).is_file():
        return []
    try:
        recipe = load_recipe(folder / RECIPE)
        if recipe.data.streaming:
            raise InputError("they are streamed")
        with _offline():
            splits = find_rows(recipe.data).splits
    except InputError as error:
        say(f"no examples: the run's images are not to be had here ({error}); --examples names others")
        return []
    rows = splits.get("test", splits.get("validation"))
    labels = np.array(rows["label"][:])
    turns = [np.flatnonzero(labels == i) for i in evenly_spaced(np.unique(labels))]
    chosen = [rank[turn] for turn in range(_MOST) for rank in turns if turn < len(rank)]
    return rows.select(chosen[:_MOST])["image"][:]


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """A page needs no data set fetched for it."""
    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def _copy(images: Sequence[str | dict], place: Path) -> list[str]:
    """Those that can be read, and that browsers show, as files that may be served: no folder of the user's may."""
    copies = []
    for number, image in enumerate(images):
        value = image if isinstance(image, dict) else {"bytes": None, "path": image}
        with contextlib.suppress(Exception):  # what Pillow's plugins raise
            suffix = _SUFFIX[open_image(value).format]
            read_image(value)
            copy = place / f"{number}{suffix}"
            copy.write_bytes(Path(value["path"]).read_bytes() if value["bytes"] is None else value["bytes"])
            copies.append(str(copy))
    return copies
