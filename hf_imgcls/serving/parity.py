"""Served as scored: the saved folder, opened by `pipeline`, answers as the trainer scored."""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from tqdm.auto import tqdm
from transformers import pipeline
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from hf_imgcls.data import Data, first_rows, readable_rows
from hf_imgcls.images import open_image
from hf_imgcls.machine import exact_float32
from hf_imgcls.scoring import Scored, served_split
from hf_imgcls.store import own_code

TOLERANCE = 1e-4
_USUAL_LOGIT = 10.0


def allowed_differences(logits: np.ndarray) -> np.ndarray:
    """How far an image's scores may be off, from its logits, shape (images, classes); shape (images,).

    TOLERANCE, growing with logits above 10: rounding is relative to them, and a network from scratch may begin with 60.
    """
    highest = np.abs(logits).max(axis=1)
    return TOLERANCE * np.where(np.isfinite(highest), np.maximum(1.0, highest / _USUAL_LOGIT), 1.0)


def compare_predictions(
    folder: Path, rows: Iterable[dict], logits: np.ndarray, device, labels: Sequence[str] | None = None
) -> dict[str, Any]:
    """Ask the pipeline about images that the trainer has scored.

    Args:
        folder: a saved model.
        rows: each has `image` (undecoded) and a name; as many as there are logits.
        logits: the trainer's, in float32 without autocast, shape (images, classes).
        device: where both run.
        labels: the trainer's class names; the folder's own if not given, which cannot show that they were changed.

    Returns:
        `passed`, `images`, `largest_difference` of a score over all labels, and for a mismatch the image with
        both answers in `mismatch`. Another top label counts only where the scores differ by more than is allowed.
    """
    classifier = _open(Path(folder), device)
    own = classifier.model.config.id2label
    names = list(labels or [own.get(i, f"class {i}") for i in range(logits.shape[1])])
    largest, mismatch, asked = 0.0, None, 0
    allowed = allowed_differences(logits)
    with exact_float32():
        for row, scored in zip(tqdm(rows, "served as scored", total=len(logits)), _softmax(logits), strict=True):
            answers = classifier(_image(row["image"]), top_k=len(own))
            difference = _difference(dict(zip(names, scored.tolist(), strict=True)), answers)
            asked += 1
            if difference > max(largest, allowed[asked - 1]):
                mismatch = {
                    "image": row.get("name") or row["image"]["path"] or f"row {row.get('row', asked - 1)}",
                    "scored": {"label": names[scored.argmax()], "score": float(scored.max())},
                    "served": answers[0],
                }
            largest = max(largest, difference)
    return {"passed": mismatch is None, "images": asked, "largest_difference": largest, "mismatch": mismatch}


def _open(folder: Path, device):
    """The pipeline that others open the folder with; with trust_remote_code=True where it has code of its own."""
    code = own_code(folder)
    if code is None:
        return pipeline("image-classification", model=str(folder), device=device)
    # It is the code that this package has just written there. Given the folder's name, pipeline would prefer the
    # class that is installed here, and nothing would be known of what runs where it is not.
    network = get_class_from_dynamic_module(code, str(folder)).from_pretrained(folder)
    return pipeline("image-classification", model=network, image_processor=str(folder), device=device)


def _difference(scored: dict[str, float], answers: list[dict]) -> float:
    """The largest over all labels; 1 where a network that has diverged scores NaN."""
    served = {answer["label"]: answer["score"] for answer in answers}
    differences = [abs(served.get(name, 0.0) - scored.get(name, 0.0)) for name in scored.keys() | served.keys()]
    return 1.0 if any(map(math.isnan, differences)) else max(differences)


def describe_parity(verdict: dict[str, Any]) -> str:
    """The verdict in a line."""
    if verdict["passed"]:
        return (
            f"served as scored: pipeline gave the same answers on {verdict['images']} {verdict['split']} images "
            f"(largest difference of a score {verdict['largest_difference']:.1e})"
        )
    wrong = verdict["mismatch"]
    return (
        f"NOT served as scored: {wrong['image']} was scored {wrong['scored']['label']} "
        f"({wrong['scored']['score']:.4f}), pipeline answers {wrong['served']['label']} "
        f"({wrong['served']['score']:.4f})"
    )


def _image(image: dict):
    """As a user hands it over: a path where there is a file, else the opened image."""
    if image["bytes"] is None:
        return image["path"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return open_image(image)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def check_serving(
    folder: Path, data: Data, outputs: Mapping[str, Scored], device, labels: Sequence[str], seed: int
) -> dict[str, Any] | None:
    """Compare what `pipeline` answers from the saved folder with what was scored.

    Args:
        outputs: of the scored splits.
        device: where it was scored.
        labels: the trained model's, in the order of its outputs.
        seed: that the compared rows were drawn with.

    Returns:
        The verdict, which names the sample where not the whole split was compared; None where nothing was scored.
    """
    split = served_split(outputs)
    if split is None:
        return None
    (chosen, logits), count = outputs[split].sample, len(outputs[split])
    if isinstance(data.splits[split], datasets.IterableDataset):
        rows: Iterable[dict] = first_rows(readable_rows(data.splits[split]), len(chosen))
    else:
        rows = data.splits[split].select(chosen)
    verdict = compare_predictions(folder, rows, logits, device, labels)
    sample = {} if len(chosen) == count else {"sample_seed": seed, "rows": chosen.tolist()}
    return {"split": split, "of": count, **verdict, **sample}
