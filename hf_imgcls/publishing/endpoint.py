"""The files with which Hugging Face Inference Endpoints serve a pushed model as it was scored."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from hf_imgcls.errors import PushError
from hf_imgcls.publishing import handler
from hf_imgcls.publishing.hub import Files, Target, download
from hf_imgcls.publishing.space import pinned
from hf_imgcls.scoring import NONE_OF_THESE
from hf_imgcls.serving import TOLERANCE, chosen_labels, open_classifier

_MARK = "written by `hf-imgcls push --with-handler`"
HANDLER, REQUIREMENTS = "handler.py", "requirements.txt"


def handler_files(folder: Path, name: str, target: Target, images: Sequence[Image.Image]) -> Files:
    """handler.py and requirements.txt of a run, once the handler is found to predict as the run does.

    Raises:
        PushError: it does not, or the repository has files of these names that somebody else wrote.
    """
    with tempfile.TemporaryDirectory() as place:
        for path in (HANDLER, REQUIREMENTS):
            there = download(name, path, target, Path(place))
            if there and _MARK not in there.read_text(encoding="utf-8", errors="replace"):
                raise PushError(f"{name} has a {path} of its own; rename it there, or push without --with-handler")
    check_handler(folder, images)
    code = Path(handler.__file__).read_bytes()
    # torch and torchvision are the container's.
    lines = [f"# {_MARK}", *pinned(folder, "transformers"), "torchvision"]
    return {HANDLER: code, REQUIREMENTS: "".join(f"{line}\n" for line in lines).encode()}


def check_handler(folder: Path, images: Sequence[Image.Image]) -> None:
    """Compare the handler's predictions with those of `predict`, none of these and thresholds included."""
    ours, theirs = open_classifier(str(folder), trust_remote_code=True), handler.EndpointHandler(str(folder), "cpu")
    for number, image in enumerate(images):
        scores, rejected = (each[0] for each in ours.judge([ours.process(image)]))
        everything = theirs({"inputs": image, "parameters": {"top_k": len(ours.labels) + 1}})
        found = {each["label"]: each["score"] for each in everything}
        none = found.pop(NONE_OF_THESE, 0) is None
        wanted = dict(ours.top(scores, len(scores)))
        same = found.keys() == wanted.keys() and none == bool(rejected)
        if ours.thresholds is not None:
            same = same and [each["label"] for each in theirs({"inputs": image})] == chosen_labels(ours, scores)
        if not (same and np.allclose([found[label] for label in wanted], list(wanted.values()), 0, TOLERANCE)):
            raise PushError(f"the handler does not reproduce the model's prediction of image {number + 1}")
