"""The parity check: `pipeline`, on the saved folder, must reproduce the evaluated predictions."""

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from tqdm.auto import tqdm
from transformers import TrainingArguments, pipeline
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from hf_imgcls.data import Data, first_rows, naming_changed
from hf_imgcls.images import open_image
from hf_imgcls.machine import exact_float32, show_progress
from hf_imgcls.scoring import Scored, ScoredSets, served_split, sigmoid, softmax
from hf_imgcls.store import own_code

TOLERANCE = 1e-4
_TYPICAL_LOGIT = 10.0


def allowed_differences(logits: np.ndarray) -> np.ndarray:
    """Allowed difference of an image's probabilities, shape (images,), for its logits, shape (images, classes).

    TOLERANCE, growing with logits above 10: rounding is relative to them, and a network from scratch may begin with 60.
    """
    highest = np.abs(logits).max(axis=1)
    return TOLERANCE * np.where(np.isfinite(highest), np.maximum(1.0, highest / _TYPICAL_LOGIT), 1.0)


def compare_predictions(
    folder: Path,
    rows: Sequence[dict] | datasets.Dataset,
    logits: np.ndarray,
    device,
    labels: Sequence[str] | None = None,
    *,
    several: bool = False,
) -> dict[str, Any]:
    """Predict evaluated images again, with the pipeline on a saved folder.

    Args:
        rows: a list or a dataset; each has `image` (undecoded) and a name.
        logits: of the evaluation, in float32 without autocast, shape (rows, classes).
        labels: the trainer's class names; the folder's own if not given, which cannot show that they were changed.
        several: whether an image may have several of them, each with a probability of its own.

    Returns:
        The verdict; `mismatch` is None or the image that differs most. Another top label alone is no mismatch: the
        probabilities must differ by more than is allowed.
    """
    classifier = _open(Path(folder), device)
    own = classifier.model.config.id2label
    names = list(labels or [own.get(i, f"class {i}") for i in range(logits.shape[1])])
    largest, mismatch, images = 0.0, None, 0
    allowed, probabilities = allowed_differences(logits), (sigmoid if several else softmax)(logits.astype(np.float64))
    with naming_changed(row["image"] for row in rows), exact_float32():
        for row, evaluated in zip(
            tqdm(rows, "parity check", total=len(logits), disable=not show_progress()), probabilities, strict=True
        ):
            # Said or not, pipeline applies the sigmoid that config.json asks for: the first image shows that.
            said = {"function_to_apply": "sigmoid"} if several and images else {}
            predictions = classifier(_image(row["image"]), top_k=len(own), **said)
            difference = _difference(dict(zip(names, evaluated.tolist(), strict=True)), predictions)
            if difference > max(largest, allowed[images]):
                mismatch = {
                    "image": row.get("name") or row["image"]["path"] or f"row {row.get('row', images)}",
                    "evaluated": {"label": names[evaluated.argmax()], "score": float(evaluated.max())},
                    "predicted": predictions[0],
                }
            largest = max(largest, difference)
            images += 1
    return {"passed": mismatch is None, "images": images, "max_difference": largest, "mismatch": mismatch}


def _open(folder: Path, device):
    """The pipeline as users open it; with the folder's own code, where it has some (trust_remote_code=True)."""
    code = own_code(folder)
    if code is None:
        return pipeline("image-classification", model=str(folder), device=device)
    # The code was written there by this package. From the folder's name alone pipeline would prefer the class that is
    # installed here, and the copy that runs everywhere else would stay unchecked.
    network = get_class_from_dynamic_module(code, str(folder)).from_pretrained(folder)
    return pipeline("image-classification", model=network, image_processor=str(folder), device=device)


def _difference(evaluated: dict[str, float], predictions: list[dict]) -> float:
    """The largest over all labels; 1 where a network that has diverged scores NaN."""
    served = {prediction["label"]: prediction["score"] for prediction in predictions}
    differences = [abs(served.get(name, 0.0) - evaluated.get(name, 0.0)) for name in evaluated.keys() | served.keys()]
    return 1.0 if any(map(math.isnan, differences)) else max(differences)


def describe_parity(verdict: dict[str, Any]) -> str:
    """The verdict in a line."""
    if verdict["passed"]:
        return (
            f"parity check passed: pipeline() reproduces the evaluated predictions on {verdict['images']} "
            f"{verdict['split']} images (max abs. probability difference {verdict['max_difference']:.1e})"
        )
    wrong = verdict["mismatch"]
    evaluated, predicted = (f"{wrong[key]['label']} ({wrong[key]['score']:.4f})" for key in ("evaluated", "predicted"))
    return f"parity check FAILED: {wrong['image']} was evaluated as {evaluated}, pipeline() predicts {predicted}"


def _image(image: dict):
    """As a user passes it to pipeline: a path where there is a file, else the opened image."""
    if image["bytes"] is None:
        return image["path"]
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        return open_image(image)


def check_serving(
    folder: Path, data: Data, outputs: Mapping[str, Scored], labels: Sequence[str], arguments: TrainingArguments
) -> dict[str, Any] | None:
    """Compare the predictions of `pipeline` on the saved folder with the evaluated ones.

    Returns:
        The verdict, with the compared rows where it was not the whole split; None where nothing was evaluated.
    """
    split = served_split(outputs)
    if split is None:
        return None
    (chosen, logits), count = outputs[split].sample, len(outputs[split])
    if isinstance(data.splits[split], datasets.IterableDataset):
        rows = first_rows(data.splits[split], len(chosen))
    else:
        count, rows = len(data.splits[split]), data.splits[split].select(chosen)
    several = isinstance(outputs[split], ScoredSets)
    verdict = compare_predictions(folder, rows, logits, arguments.device, labels, several=several)
    sample = {} if len(chosen) == count else {"sample_seed": arguments.seed, "rows": chosen.tolist()}
    return {"split": split, "of": count, **verdict, **sample}
