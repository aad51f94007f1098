"""A model's web page on this machine; other machines can open it only if a host is given."""

import contextlib
import errno
import importlib
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from hf_imgcls.errors import InputError, ReadError
from hf_imgcls.images import Limits, allow_pixels, read_usable
from hf_imgcls.machine import exact_float32, limit_progress_bars, say
from hf_imgcls.scoring import main_split
from hf_imgcls.serving.demo_examples import copy_examples
from hf_imgcls.serving.image_classifier import classify_image
from hf_imgcls.serving.image_list import find_images
from hf_imgcls.serving.open import PredictOptions, chosen_device, open_classifier
from hf_imgcls.store import RESULTS, read_json
from hf_imgcls.words import listed, percent, plain

TOP_K = 5
PAGE = Path(__file__).with_name("page.py")  # a Space gets a copy of it
_DEFAULTS, _ADDRESS = PredictOptions(TOP_K), ("127.0.0.1", 7860)


def serve_demo(
    model: str, options: PredictOptions = _DEFAULTS, address: tuple[str, int] = _ADDRESS, examples: str | None = None
) -> None:
    """Serve a model's page until Ctrl-C or another signal ends it; the arguments are those of `open_demo`."""
    with open_demo(model, options, address, examples) as url, contextlib.suppress(KeyboardInterrupt):
        say(f"the demo of {model} runs at {url} (stop it with Ctrl-C)")
        while True:
            time.sleep(3600)


@contextlib.contextmanager
def open_demo(
    model: str, options: PredictOptions = _DEFAULTS, address: tuple[str, int] = _ADDRESS, examples: str | None = None
) -> Iterator[str]:
    """Serve a model's page, whose URL is yielded, while the context lasts; then uploaded images are deleted.

    Args:
        address: host and port.
        examples: an image, a folder or a pattern; if None, images that the run was evaluated on.
    """
    limit_progress_bars()
    allow_pixels(options.limits)
    page = _import_page()
    if options.top_k < 1:
        raise InputError(f"--top-k: found {options.top_k}, expected 1 or more")
    _check_address(*address)
    named = list(find_images([examples])) if examples else None
    folder, device = Path(model).expanduser(), chosen_device(options.device)
    classifier = open_classifier(model, device, options.trust_remote_code)
    # A client may still be sending when it is deleted.
    folder_for_uploads = tempfile.TemporaryDirectory(prefix="hf-imgcls-", ignore_cleanup_errors=True)
    with folder_for_uploads as place, _environment(place, address[0]), exact_float32():
        shown = copy_examples(named, folder, Path(place), options.limits)
        several = classifier.thresholds is not None
        title, about = describe_demo(classifier.name.rpartition("@")[0], classifier.labels, folder, several)
        show = partial(classify_image, classifier, top_k=options.top_k), title, about, shown
        blocks = page.make_page(*show, partial(_read, options.limits))
        try:
            _launch(blocks, *address, page.LAUNCH)
            yield blocks.local_url
        finally:  # first what was sent: closing waits for clients
            shutil.rmtree(f"{place}/sent", ignore_errors=True)
            blocks.close(verbose=False)


def _launch(blocks, host: str, port: int, arguments: dict[str, Any]) -> None:
    arguments = {**arguments, "server_name": host, "server_port": port, "share": False, "mcp_server": False}
    try:
        blocks.launch(inbrowser=False, inline=False, quiet=True, prevent_thread_lock=True, **arguments)
    except OSError as error:  # gradio needs the port on 127.0.0.1 too, where it may be in use
        raise InputError(f"--port {port}: {error}") from None


def _read(limits: Limits, path: str) -> Image.Image:
    try:
        return read_usable({"bytes": None, "path": path}, limits)
    except ReadError as error:
        raise ValueError(str(error)) from None


def describe_demo(name: str, labels: Sequence[str], folder: Path, several: bool = False) -> tuple[str, str]:
    """A page's title, and a line with the classes and, of a run, the accuracy; Markdown."""
    about = f"Classifies images into {len(labels):,} classes: {listed(map(plain, labels), 8)}."
    if several:
        about = f"Says which of {len(labels):,} labels an image has: {listed(map(plain, labels), 8)}. Shown are those "
        about += "whose score reaches its threshold."
    if (folder / RESULTS).is_file():
        try:
            about += _describe_scores(read_json(folder / RESULTS))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            say(f"no accuracy on the page: {folder / RESULTS} is damaged ({type(error).__name__})")
    return plain(name), about


def _describe_scores(results: dict[str, Any]) -> str:
    split = main_split(results)
    if not split:
        return ""
    scores = results["scores"][split]
    if "map" in scores:
        low, high = scores["map_interval_95"]
        return (
            f" mAP {scores['map']:.4f} on {scores['images']:,} {split} images (95 % interval {low:.4f} to {high:.4f})."
        )
    low, high = (100 * end for end in scores["accuracy_interval_95"])
    about = f" Accuracy {percent(scores['accuracy'])} on {scores['images']:,} {split} images"
    about += f" (95 % interval {low:.1f} to {high:.1f} %)."
    cautions = results.get("cautions", {}).get(split, ())
    return about + "".join(f" {split.capitalize()}: {' '.join(map(plain, each.split()))}." for each in cautions)


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
    before = {key: os.environ[key] for key in values if key in os.environ}
    os.environ.update(values)
    try:
        yield
    finally:
        for key in values:
            del os.environ[key]
        os.environ.update(before)
