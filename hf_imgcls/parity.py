"""Served as scored: the saved folder, opened by `pipeline`, answers as the trainer scored."""

import itertools
import json
import math
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm
from transformers import pipeline
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from hf_imgcls.arguments import exact_float32
from hf_imgcls.pictures import open_image

TOLERANCE = 1e-4
_USUAL_LOGIT = 10.0
MAX_COMPARED = 500


class ParityError(RuntimeError):
    """The saved model does not answer as it was scored; nothing that was measured holds for it."""


def choose_rows(count: int, seed: int) -> np.ndarray:
    """Every row of a small split, a seeded sample of MOST_PICTURES of a larger one."""
    if count <= MAX_COMPARED:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).permutation(count)[:MAX_COMPARED])


def allowed_differences(logits: np.ndarray) -> np.ndarray:
    """How far a picture's scores may be off, from its logits, shape (pictures, classes); shape (pictures,).

    TOLERANCE, growing with logits above 10: rounding is relative to them, and a network from scratch may begin with 60.
    """
    highest = np.abs(logits).max(axis=1)
    return TOLERANCE * np.where(np.isfinite(highest), np.maximum(1.0, highest / _USUAL_LOGIT), 1.0)


def compare_predictions(
    folder: Path, rows: Iterable[dict], logits: np.ndarray, device, labels: Sequence[str] | None = None
) -> dict[str, Any]:
    """Ask the pipeline about pictures that the trainer has scored.

    Args:
        folder: a saved model.
        rows: each has `image` (undecoded) and a name; as many as there are logits.
        logits: the trainer's, in float32 without autocast, shape (pictures, classes).
        device: where both run.
        labels: the trainer's class names; the folder's own if not given, which cannot show that they were changed.

    Returns:
        `passed`, `pictures`, `largest_difference` of a score over all labels, and for a mismatch the picture with
        both answers in `mismatch`. Another top label counts only where the scores differ by more than is allowed.
    """
    classifier = _open(Path(folder), device)
    own = classifier.model.config.id2label
    names = list(labels or [own.get(i, f"class {i}") for i in range(logits.shape[1])])
    largest, mismatch, asked = 0.0, None, 0
    allowed = allowed_differences(logits)
    with exact_float32():
        for row, scored in zip(tqdm(rows, "served as scored", total=len(logits)), _softmax(logits), strict=True):
            answers = classifier(_picture(row["image"]), top_k=len(own))
            difference = _difference(dict(zip(names, scored.tolist(), strict=True)), answers)
            asked += 1
            if difference > max(largest, allowed[asked - 1]):
                mismatch = {
                    "picture": row.get("name") or row["image"]["path"] or f"row {row.get('row', asked - 1)}",
                    "scored": {"label": names[scored.argmax()], "score": float(scored.max())},
                    "served": answers[0],
                }
            largest = max(largest, difference)
    return {"passed": mismatch is None, "pictures": asked, "largest_difference": largest, "mismatch": mismatch}


def own_code(folder: Path) -> str | None:
    """The class that a saved folder brings its code of, as transformers writes it: "convnet.ConvNet..."; or None."""
    config = folder / "config.json"
    settings = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    code = settings.get("auto_map", {}).get("AutoModelForImageClassification", "")
    return code if (folder / f"{code.partition('.')[0]}.py").is_file() else None


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
            f"served as scored: pipeline gave the same answers on {verdict['pictures']} {verdict['split']} pictures "
            f"(largest difference of a score {verdict['largest_difference']:.1e})"
        )
    wrong = verdict["mismatch"]
    return (
        f"NOT served as scored: {wrong['picture']} was scored {wrong['scored']['label']} "
        f"({wrong['scored']['score']:.4f}), pipeline answers {wrong['served']['label']} "
        f"({wrong['served']['score']:.4f})"
    )


def _picture(image: dict):
    """As a user hands it over: a path where there is a file, else the opened picture."""
    if image["bytes"] is None:
        return image["path"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return open_image(image)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def first_rows(stream: Iterable[dict], count: int) -> list[dict]:
    """The first rows of a stream, which has no others to draw from."""
    return list(itertools.islice(stream, count))
