"""Whether an export reproduces its model's predictions."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from hf_imgcls.data import naming_changed
from hf_imgcls.errors import ParityError
from hf_imgcls.images import process_image, read_image
from hf_imgcls.machine import cores_per_process, show_progress
from hf_imgcls.scoring import choose_rows
from hf_imgcls.serving.export.images import CheckImages
from hf_imgcls.serving.inference import Classifier
from hf_imgcls.serving.parity import TOLERANCE, allowed_differences
from hf_imgcls.serving.reading import reader_pool

_LOGITS = 1e-3  # relative to the largest: probabilities close to 1 hide what their logits have lost
_BATCHES = (1, 2, 5, 16)  # the sizes of the first batches; all others have the last


def check_export(
    model: Classifier, exported: Classifier, images: CheckImages, seed: int = 42, *, own_pixels: bool = False
) -> dict[str, Any]:
    """Compare the predictions of a model and its export, on at most 500 images in batches of several sizes.

    Args:
        own_pixels: the export's image processor is not the model's; each has the pixels of its own.

    Raises:
        ParityError: a probability differs by more than is allowed, a logit by more than a thousandth of the largest,
            or the best label where it leads by more than is allowed.
    """
    chosen = choose_rows(len(images.rows), seed)
    agreed, logit, score, sizes = 0, 0.0, 0.0, set()
    processors = [model.processor, exported.processor] if own_pixels else [model.processor]
    for rows, pixels in row_batches(images.rows, chosen, processors, "checking the export"):
        if not (own_pixels or sizes or torch.equal(pixels[0][0], _pixels([exported.processor], rows[0]["image"])[0])):
            raise ParityError("export: the exported image processor's output differs from that of the model's own")
        ours, theirs = model.logits(pixels[0]).numpy(), exported.logits(pixels[-1]).numpy()
        our_scores, their_scores = model.to_scores(ours), exported.to_scores(theirs)
        best, other = our_scores.argmax(axis=1), their_scores.argmax(axis=1)
        leads = np.take_along_axis(our_scores, best[:, None], 1) - np.take_along_axis(our_scores, other[:, None], 1)
        allowed = allowed_differences(ours)
        wrong = _differ(ours, theirs, _LOGITS) | _differ(our_scores, their_scores, allowed) | (leads[:, 0] > allowed)
        if wrong.any():
            i = int(wrong.argmax())
            name = rows[i].get("name") or f"image {rows[i].get('row', '')}".strip()
            raise ParityError(
                f"parity check FAILED: the model predicts {name} as {model.labels[best[i]]} "
                f"({our_scores[i].max():.6f}), the export as {model.labels[other[i]]} ({their_scores[i].max():.6f}); "
                f"max abs. logit difference {np.abs(ours[i] - theirs[i]).max():.1e}"
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
        "max_logit_difference": float(logit),
        "max_difference": float(score),
        "tolerance": TOLERANCE,
    }


def _differ(ours: np.ndarray, theirs: np.ndarray, tolerance: float | np.ndarray) -> np.ndarray:
    """Which rows differ by more than the tolerance, relative to their largest value if that is above 1; NaN does."""
    return ~(np.abs(ours - theirs).max(axis=1) <= tolerance * np.maximum(1, np.abs(ours).max(axis=1)))


def row_batches(
    rows: Sequence[dict], chosen: np.ndarray, processors: Sequence, description: str
) -> Iterator[tuple[list[dict], list[torch.Tensor]]]:
    """Rows with the pixels (n, 3, h, w) of each image processor, in batches of several sizes."""
    with (
        reader_pool(min(8, cores_per_process())) as pool,
        tqdm(total=len(chosen), desc=description, unit="image", disable=not show_progress()) as bar,
    ):
        start = 0
        while start < len(chosen):
            size = next((size for size in _BATCHES if size > start), _BATCHES[-1])
            batch = [rows[i] for i in chosen[start : start + size].tolist()]
            read = list(pool.map(lambda row: _pixels(processors, row["image"]), batch))
            yield batch, [torch.stack(each) for each in zip(*read, strict=True)]
            bar.update(len(batch))
            start += size


def _pixels(processors: Sequence, image) -> list[torch.Tensor]:
    with naming_changed([image] if isinstance(image, dict) else ()):
        rgb = read_image(image)
    return [process_image(processor, rgb) for processor in processors]
