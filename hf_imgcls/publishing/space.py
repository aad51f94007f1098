"""The demo page of a pushed model as a Space: the page of `hf-imgcls demo`, on transformers' pipeline."""

import json
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path

from huggingface_hub import constants

from hf_imgcls.errors import PushError
from hf_imgcls.machine import say
from hf_imgcls.publishing.hub import Files
from hf_imgcls.publishing.space_repository import SpaceKind, push_space, space_address, space_card
from hf_imgcls.reports import CARD
from hf_imgcls.scoring import read_rejection
from hf_imgcls.serving import PAGE, TOP_K, describe_demo
from hf_imgcls.store import RESULTS, own_code, read_json

_GRADIO = "6.31.0"  # what page.py is written for and tested with; a Space takes exactly one
_DEMO = SpaceKind(
    "demo",
    "demo",
    "drop an image, see its labels.",
    {
        "sdk": "gradio",
        "sdk_version": _GRADIO,
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
        "app_file": "app.py",
    },
)
_APP = '''\
"""Demo of {name}, written by `hf-imgcls push --with-demo`."""

from page import LAUNCH, make_page{more}
from transformers import pipeline

classifier = pipeline("image-classification", {arguments})
page = make_page({classify}, {title}, {about})

if __name__ == "__main__":
    page.launch(**LAUNCH)
'''


def push_demo(folder: Path, name: str, revision: str | None = None) -> str:
    """Push a model's demo page as the Space `owner/name-demo`, as private as the model, and verify it.

    No example images are pushed: they are the user's own.

    Args:
        name: of the model's repository; `revision` is the branch that has it.

    Returns:
        The Space's name.
    """
    space, private = push_space(name, _DEMO, partial(space_files, folder, name, revision))
    if private:
        say(
            f"demo: the model is private, so the Space is too; it needs a secret HF_TOKEN with a token that may "
            f"read {name}: {space_address(space)}/settings"
        )
    return space


def space_files(folder: Path, name: str, revision: str | None, before: Path | None = None) -> Files:
    """Card, app, page, requirements; `before` is the Space's card, which people may have written into."""
    return {
        CARD: space_card(folder, name, _DEMO, before).encode(),
        "app.py": _app(folder, name, revision).encode(),
        "page.py": PAGE.read_bytes(),
        # gradio comes with the Space.
        "requirements.txt": "".join(
            f"{line}\n" for line in pinned(folder, "torch", "torchvision", "transformers")
        ).encode(),
    }


def _app(folder: Path, name: str, revision: str | None) -> str:
    arguments = {"model": name} | ({"revision": revision} if revision else {})
    words = [f"{key}={json.dumps(value)}" for key, value in arguments.items()]
    words += ["trust_remote_code=True"] if own_code(folder) else []
    labels = read_json(folder / RESULTS)["labels"]
    settings = read_json(folder / "config.json")
    several = settings.get("problem_type") == "multi_label_classification"
    title, about = describe_demo(name.rpartition("/")[2], labels, folder, several)
    about += f" [The model]({constants.ENDPOINT}/{name})."
    top_k = min(TOP_K, len(labels))
    try:
        more = "with_thresholds" if several else "with_rejection" if read_rejection(settings) else ""
    except ValueError as error:
        raise PushError(str(error)) from None
    branch = f", {json.dumps(revision)}" if revision and more == "with_rejection" else ""  # for the means of a distance
    classify = f"{more}(classifier, {top_k}{branch})" if more else f"lambda image: classifier(image, top_k={top_k})"
    return _APP.format(
        name=name,
        arguments=", ".join(words),
        classify=classify,
        more=f", {more}" if more else "",
        title=repr(title),
        about=repr(about),
    )


def pinned(folder: Path, *packages: str) -> list[str]:
    """Packages, and timm where the model needs it, in the versions that the model was pushed with."""
    if any("timm" in file.read_text(encoding="utf-8") for file in (folder / "config.json", *folder.glob("*.py"))):
        packages = (*packages, "timm")
    return [f"{package}=={version(package).partition('+')[0]}" for package in packages]
