"""A model's web page on this machine; other machines can open it only if a host is given."""

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

from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from PIL import Image

from hf_imgcls.errors import InputError
from hf_imgcls.images import process_image
from hf_imgcls.machine import exact_float32, limit_progress_bars, say
from hf_imgcls.scoring import main_split
from hf_imgcls.serving.classifier import Classifier
from hf_imgcls.serving.examples import copy_examples
from hf_imgcls.serving.image_list import find_images
from hf_imgcls.serving.open import PredictOptions, open_classifier
from hf_imgcls.store import RESULTS, read_json
from hf_imgcls.words import listed, percent, plain

TOP_K = 5
PAGE = Path(__file__).with_name("page.py")  # a Space gets a copy of it
_DEFAULTS, _ADDRESS = PredictOptions(TOP_K), ("127.0.0.1", 7860)


def serve_demo(
    model: str, options: PredictOptions = _DEFAULTS, address: tuple[str, int] = _ADDRESS, examples: str | None = None
) -> None:
    """Serve a model's page until Ctrl-C; arguments and errors are those of `open_demo`."""
    with open_demo(model, options, address, examples) as url, contextlib.suppress(KeyboardInterrupt):
        say(f"the demo of {model} runs at {url} (stop it with Ctrl-C)")
        while True:
            time.sleep(3600)


@contextlib.contextmanager
def open_demo(
    model: str, options: PredictOptions = _DEFAULTS, address: tuple[str, int] = _ADDRESS, examples: str | None = None
) -> Iterator[str]:
    """Serve a model's page while the context lasts; uploaded images are deleted at its end.

    Args:
        model: a folder or a Hub id, of any origin.
        options: number of labels (`top_k`), device, whether code is trusted.
        address: host and port.
        examples: an image, a folder or a pattern; if None, images that the run was evaluated on.

    Yields:
        The page's URL.

    Raises:
        InputError: gradio is missing, the address is not available, there are no such examples, or the model cannot
            be opened.
    """
    limit_progress_bars()
    page = _import_page()
    if options.top_k < 1:
        raise InputError(f"--top-k: found {options.top_k}, expected 1 or more")
    _check_address(*address)
    named = list(find_images([examples])) if examples else None
    device = options.device or PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU")).device
    classifier, folder = open_classifier(model, device, options.trust_remote_code), Path(model).expanduser()
    with tempfile.TemporaryDirectory(prefix="hf-imgcls-") as place, _environment(place, address[0]), exact_float32():
        shown = copy_examples(named, folder, Path(place))
        title, about = describe_demo(classifier.name.rpartition("@")[0], classifier.labels, folder)
        blocks = page.make_page(_classify_function(classifier, options.top_k), title, about, shown)
        try:
            _launch(blocks, address, page.LAUNCH)
            yield blocks.local_url
        finally:
            blocks.close(verbose=False)


def _launch(blocks, address: tuple[str, int], arguments: dict[str, Any]) -> None:
    host, port = address
    try:
        blocks.launch(
            server_name=host, server_port=port, share=False, inbrowser=False, inline=False, quiet=True,
            prevent_thread_lock=True, mcp_server=False, **arguments,
        )  # fmt: skip
    except OSError as error:  # gradio needs the port on 127.0.0.1 too, where it may be in use
        raise InputError(f"--port {port}: {error}") from None


def _classify_function(classifier: Classifier, top_k: int) -> Callable[[Image.Image], list[dict[str, Any]]]:
    """Predicts as `pipeline(image, top_k=top_k)`."""

    def classify(image: Image.Image) -> list[dict[str, Any]]:
        scores = classifier.scores([process_image(classifier.processor, image)])[0]
        return [{"label": label, "score": score} for label, score in classifier.top(scores, top_k)]

    return classify


def describe_demo(name: str, labels: Sequence[str], folder: Path) -> tuple[str, str]:
    """A page's title, and a line with the classes and, of a run, the accuracy; Markdown."""
    about = f"Classifies images into {len(labels):,} classes: {listed(map(plain, labels), 8)}."
    if (folder / RESULTS).is_file():
        results = read_json(folder / RESULTS)
        split = main_split(results)
        if split:
            scores = results["scores"][split]
            low, high = (100 * end for end in scores["accuracy_interval_95"])
            about += f" Accuracy {percent(scores['accuracy'])} on {scores['images']:,} {split} images"
            about += f" (95 % interval {low:.1f} to {high:.1f} %)."
    return plain(name), about


def _import_page() -> ModuleType:
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported, and again later
    try:
        return importlib.import_module("hf_imgcls.serving.page")
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise InputError('demo: gradio is not installed; pip install "hf-imgcls[demo]"') from None


def _check_address(host: str, port: int) -> None:
    """Gradio would only report that it cannot find an empty port."""
    if not 0 < port < 65536:
        raise InputError(f"--port: found {port}, expected 1 to 65535")
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(place)
    except (OSError, UnicodeError) as error:
        hint = "; choose another --port" if getattr(error, "errno", None) in (errno.EADDRINUSE, errno.EACCES) else ""
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise InputError(f"--host {host} --port {port}: {reason}{hint}") from None


@contextlib.contextmanager
def _environment(place: str, host: str) -> Iterator[None]:
    """Gradio stores uploads in a folder, and calls its own server, which must not go through a proxy."""
    bypassed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    direct = ",".join(filter(None, [bypassed, "127.0.0.1,localhost", host]))
    values = {"GRADIO_TEMP_DIR": f"{place}/sent", "no_proxy": direct, "NO_PROXY": direct}
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            os.environ.pop(key) if value is None else os.environ.update({key: value})
