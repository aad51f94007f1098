"""Served as scored: the saved folder, opened by `pipeline`, answers as the trainer scored."""

import itertools
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm
from transformers import pipeline

from hf_imgcls.pictures import open_picture

TOLERANCE = 1e-4
MOST_PICTURES = 500


class ParityError(RuntimeError):
    """The saved model does not answer as it was scored; nothing that was measured holds for it."""


def choose_rows(count: int, seed: int) -> np.ndarray:
    """Every row of a small split, a seeded sample of MOST_PICTURES of a larger one."""
    if count <= MOST_PICTURES:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).permutation(count)[:MOST_PICTURES])


def compare_answers(folder: Path, rows: Iterable[dict], logits: np.ndarray, device) -> dict[str, Any]:
    """Ask the pipeline about pictures that the trainer has scored.

    Args:
        folder: a saved model.
        rows: each has `image` (undecoded) and a name; as many as there are logits.
        logits: the trainer's, in float32 without autocast, shape (pictures, classes).
        device: where both run.

    Returns:
        `passed`, `pictures`, `largest_difference` of a score over all labels, and for a mismatch the picture with
        both answers in `mismatch`. Another top label counts only where the scores differ beyond TOLERANCE.
    """
    classifier = pipeline("image-classification", model=str(folder), device=device)
    names = [classifier.model.config.id2label[i] for i in range(logits.shape[1])]
    expected = _softmax(logits)
    largest, mismatch, asked = 0.0, None, 0
    for row, scored in zip(tqdm(rows, "served as scored", total=len(logits)), expected, strict=True):
        answer = {each["label"]: each["score"] for each in classifier(_picture(row["image"]), top_k=len(names))}
        served = np.array([answer.get(name, 0.0) for name in names])
        difference = float(np.abs(served - scored).max())
        asked += 1
        if difference > max(largest, TOLERANCE):
            mismatch = {
                "picture": row.get("name") or f"row {row.get('row', asked - 1)}",
                "scored": {"label": names[scored.argmax()], "score": float(scored.max())},
                "served": {"label": names[served.argmax()], "score": float(served.max())},
            }
        largest = max(largest, difference)
    return {"passed": mismatch is None, "pictures": asked, "largest_difference": largest, "mismatch": mismatch}


def describe(verdict: dict[str, Any]) -> str:
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
        return open_picture(image)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def first_rows(stream: Iterable[dict], count: int) -> list[dict]:
    """The first rows of a stream, which has no others to draw from."""
    return list(itertools.islice(stream, count))
