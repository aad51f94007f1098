"""Whether an export answers as its model does, on real images, and what it costs to answer in eight bits."""

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from tqdm.auto import tqdm

from hf_imgcls.data import choose_splits, load_data, load_split, open_source
from hf_imgcls.errors import InputError, ParityError
from hf_imgcls.images import process_image, read_image
from hf_imgcls.machine import cores_per_process, show_progress
from hf_imgcls.recipe import load_recipe
from hf_imgcls.scoring import choose_rows, interval
from hf_imgcls.serving.classifier import Classifier
from hf_imgcls.serving.parity import TOLERANCE, allowed_differences
from hf_imgcls.store import RECIPE

_LOGITS = 1e-3  # of the largest: where a score is close to 1, it hides what its logits have lost
_BATCHES = (1, 2, 5, 16)  # the sizes of the first batches; the last is that of the others


class Images(NamedTuple):
    """What an export is checked on.

    Attributes:
        split: the evaluation split's name; None where the images are made up.
        rows: each has `image`, undecoded or an image.
        labels: ids in the model's order, shape (images,); None where the images are made up.
        why: where they are made up, why.
    """

    split: str | None
    rows: Sequence[dict]
    labels: np.ndarray | None
    why: str = ""


def evaluation_images(
    model: str, labels: list[str], where: tuple[str | None, str | None, Sequence[str]] = (None, None, ())
) -> Images:
    """The images of `data`, or else of the split that a run was scored on, or else made-up ones.

    Args:
        model: a run's folder, or any model's name.
        labels: the model's class names, in its order.
        where: whatever `data.path` may be; a split or slice (test, or else validation, if None); and `data.key=value`.

    Raises:
        InputError: that data cannot be loaded, or has a label that the model does not know.
    """
    data, split, overrides = where
    other = next((override for override in overrides if not override.startswith("data.")), None)
    if other:
        raise InputError(f"override {other!r}: export takes data.key=value only")
    recipe = Path(model).expanduser() / RECIPE
    if data:
        sections = {"data": {"path": data}, "model": {"checkpoint": model}, "training": {"output_dir": "none"}}
        return _of_split(load_recipe(sections, overrides).data, split, labels)
    if not recipe.is_file():
        if split or overrides:
            raise InputError(f"export: {split or overrides[0]} is of which data? {model} is no run; say --data")
        return Images(None, _made_up(), None, f"{model} is no run")
    try:
        section = load_recipe(recipe, overrides).data
        if section.streaming:
            raise InputError("data.streaming: the images are not at hand")
        return _of_split(section, split, labels) if split else _of_run(section, labels)
    except InputError as error:
        if split or overrides:
            raise
        return Images(None, _made_up(), None, str(error))


def _of_split(section, split: str | None, labels: list[str]) -> Images:
    if section.streaming:
        raise InputError("data.streaming: export reads a split that it can count; leave it out")
    loaded = load_split(section, split, labels)
    name, rows = next(iter(loaded.splits.items()))
    return Images(name, rows, np.array(rows["label"][:]))


def _of_run(section, labels: list[str]) -> Images:
    """The images that the run itself was scored on, also where they were held out of train."""
    test = choose_splits(open_source(section).splits, section)["test"]
    if test:
        with contextlib.suppress(InputError):  # it has no labels, and the run was scored on its validation split
            return _of_split(section, test, labels)
    loaded = load_data(section)
    name = "test" if "test" in loaded.splits else "validation"
    rows, place = loaded.splits[name], {label: i for i, label in enumerate(labels)}
    missing = [label for label in loaded.labels if label not in place]
    if missing:
        raise InputError(f"the run's data has a label that the model does not know, {missing[0]!r}")
    return Images(name, rows, np.array([place[loaded.labels[i]] for i in rows["label"][:]]))


def _made_up() -> list[dict]:
    """Soft blots of colour: noise is the same grey to every network."""
    blots = np.random.default_rng(0).integers(0, 256, (32, 4, 5, 3), np.uint8)
    return [{"image": Image.fromarray(each).resize((320, 240), Image.Resampling.BICUBIC)} for each in blots]


def check_export(model: Classifier, exported: Classifier, images: Images, seed: int = 42) -> dict[str, Any]:
    """Ask a model and its export about the same images, at most 500 of them, in batches of several sizes.

    Returns:
        `split`, `images`, `of`, `batch_sizes`, `top1_agreement`, `largest_logit_difference`,
        `largest_score_difference`, `tolerance`.

    Raises:
        ParityError: a score differs by more than is allowed, a logit by more than a thousandth of the largest, or the
            best label where it leads by more than is allowed.
    """
    chosen = choose_rows(len(images.rows), seed)
    agreed, logit, score, sizes = 0, 0.0, 0.0, set()
    for rows, pixels in _batches(images.rows, chosen, model.processor, "checked with onnxruntime"):
        if not sizes and not torch.equal(pixels[0], _pixels(exported.processor, rows[0]["image"])):
            raise ParityError("export: the saved image processor does not make the pixels that the model's own makes")
        ours, theirs = model.logits(pixels).numpy(), exported.logits(pixels).numpy()
        our_scores, their_scores = model.to_scores(ours), exported.to_scores(theirs)
        best, other = our_scores.argmax(axis=1), their_scores.argmax(axis=1)
        leads = np.take_along_axis(our_scores, best[:, None], 1) - np.take_along_axis(our_scores, other[:, None], 1)
        allowed = allowed_differences(ours)
        wrong = _apart(ours, theirs, _LOGITS) | _apart(our_scores, their_scores, allowed) | (leads[:, 0] > allowed)
        if wrong.any():
            i = int(wrong.argmax())
            raise ParityError(
                f"NOT exported: to the model {_name(rows[i])} is {model.labels[best[i]]} ({our_scores[i].max():.6f}), "
                f"onnxruntime answers {model.labels[other[i]]} ({their_scores[i].max():.6f}); logits differ by up to "
                f"{np.abs(ours[i] - theirs[i]).max():.1e}"
            )
        agreed += int((best == other).sum())
        logit, score = max(logit, np.abs(ours - theirs).max()), max(score, np.abs(our_scores - their_scores).max())
        sizes.add(len(rows))
    return {
        "split": images.split,
        "images": len(chosen),
        "of": len(images.rows),
        "batch_sizes": sorted(sizes),
        "top1_agreement": agreed / len(chosen),
        "largest_logit_difference": float(logit),
        "largest_score_difference": float(score),
        "tolerance": TOLERANCE,
    }


def _apart(ours: np.ndarray, theirs: np.ndarray, tolerance: float | np.ndarray) -> np.ndarray:
    """Which rows differ by more than this, in parts of the largest value where that is above 1; NaN always does."""
    return ~(np.abs(ours - theirs).max(axis=1) <= tolerance * np.maximum(1, np.abs(ours).max(axis=1)))


def cost_of_int8(exported: Classifier, small: Classifier, images: Images) -> dict[str, Any]:
    """The accuracy of both on all images, with 95 % intervals, and how many they answer differently."""
    outputs: dict[str, list[np.ndarray]] = {"float32": [], "int8": []}
    everything = np.arange(len(images.rows))
    for _, pixels in _batches(images.rows, everything, exported.processor, "accuracy in float32 and int8"):
        outputs["float32"].append(exported.logits(pixels).numpy())
        outputs["int8"].append(small.logits(pixels).numpy())
    logits = {precision: np.concatenate(parts) for precision, parts in outputs.items()}
    # An output that is not a number is no answer.
    best = {key: np.where(np.isnan(each).any(axis=1), -1, each.argmax(axis=1)) for key, each in logits.items()}
    shares = {key: float(np.mean(each == images.labels)) for key, each in best.items()}
    return {
        "split": images.split,
        "images": len(images.rows),
        "accuracy": {key: round(share, 6) for key, share in shares.items()},
        "accuracy_interval_95": {
            key: [round(end, 6) for end in interval(share, len(images.rows))] for key, share in shares.items()
        },
        "answered_differently": int((best["float32"] != best["int8"]).sum()),
    }


def _batches(
    rows: Sequence[dict], chosen: np.ndarray, processor, said: str
) -> Iterator[tuple[list[dict], torch.Tensor]]:
    """Rows with their pixels (n, 3, h, w), in batches of several sizes."""
    torch.get_num_threads()  # settles this thread's own number, which the pool's would otherwise change
    pool = ThreadPoolExecutor(min(8, cores_per_process()), initializer=torch.set_num_threads, initargs=(1,))
    with pool, tqdm(total=len(chosen), desc=said, unit="image", disable=not show_progress()) as bar:
        start = 0
        while start < len(chosen):
            size = next((size for size in _BATCHES if size > start), _BATCHES[-1])
            batch = [rows[i] for i in chosen[start : start + size].tolist()]
            yield batch, torch.stack(list(pool.map(lambda row: _pixels(processor, row["image"]), batch)))
            bar.update(len(batch))
            start += size


def _name(row: dict) -> str:
    return str(row.get("name") or f"image {row.get('row', '')}".strip())


def _pixels(processor, image) -> torch.Tensor:
    return process_image(processor, read_image(image))
