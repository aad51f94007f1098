"""What is kept of a scored image: its best classes and two likelihoods, not the logits of a thousand classes."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from accelerate.utils import gather_object

BEST = 5  # classes that are kept of an image


@dataclasses.dataclass(frozen=True)
class Scored:
    """A scored split, in its order; 60 bytes an image.

    Attributes:
        ranked: the best classes of each image, best first, shape (images, at most 5); -1 where the network has
            diverged and its logits are no numbers.
        likelihoods: logarithm of the probability of the true class, float64, shape (images,).
        surest: the same of the best class.
        label_ids: the true classes, shape (images,).
        classes: how many the network tells apart.
        sample: rows whose logits were kept, and these, float32 of shape (rows, classes).
    """

    ranked: np.ndarray
    likelihoods: np.ndarray
    surest: np.ndarray
    label_ids: np.ndarray
    classes: int
    sample: tuple[np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.label_ids)

    @property
    def answers(self) -> np.ndarray:
        """The best class of each image, -1 where it has none."""
        return self.ranked[:, 0]


def condense(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The best classes of each image and two likelihoods, in one tensor that processes gather.

    Args:
        logits: shape (images, classes).
        labels: shape (images,).

    Returns:
        float64, shape (images, at most 5 + 2): classes, then the logarithms of the probabilities of the true class
        and of the best. Of equal logits the first comes first.
    """
    if logits.device.type == "mps":  # which has no float64
        logits, labels = logits.cpu(), labels.cpu()
    logits = logits.double()
    ranked = logits.argsort(dim=1, descending=True, stable=True)[:, :BEST]
    ranked[logits.isnan().any(dim=1)] = -1
    shifted = logits - logits.amax(dim=1, keepdim=True)
    likelihoods = shifted - shifted.exp().sum(dim=1, keepdim=True).log()
    kept = [ranked.double(), likelihoods.gather(1, labels[:, None]), likelihoods.amax(dim=1, keepdim=True)]
    return torch.cat(kept, dim=1)


def collect_scored(condensed: np.ndarray, label_ids: np.ndarray, classes: int, sample=None) -> Scored:
    """A split from what `condense` made of its batches."""
    *ranked, likelihoods, surest = condensed.T
    return Scored(np.stack(ranked, axis=1).astype(np.int64), likelihoods, surest, label_ids, classes, sample)


def concatenated(batches: np.ndarray | list[np.ndarray]) -> np.ndarray:
    """What a trainer has kept of all batches, as one."""
    return np.concatenate(batches) if isinstance(batches, list) else batches


def from_logits(logits: np.ndarray, label_ids: np.ndarray) -> Scored:
    """A split whose logits, shape (images, classes), are at hand, with all of them as its sample."""
    condensed = condense(torch.tensor(np.asarray(logits)), torch.tensor(np.asarray(label_ids))).numpy()
    rows = np.arange(len(label_ids))
    return collect_scored(condensed, np.asarray(label_ids), logits.shape[1], (rows, np.asarray(logits)))


class Sampler:
    """Condenses the batches of a split as they are scored, and keeps the logits of some of its rows.

    Every process sees its own part of every batch, in turn: of a batch of 8 on two processes rows 0 to 3 and 4 to 7.

    Args:
        rows: numbers in the split of those to keep.
        process: number of this one.
        processes: how many there are.
    """

    def __init__(self, rows: Iterable[int], process: int, processes: int):
        self.rows, self.process, self.processes = set(map(int, rows)), process, processes
        self.seen = 0
        self.classes = 0
        self.kept: dict[int, np.ndarray] = {}

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        first = self.seen + self.process * len(logits)
        self.seen += self.processes * len(logits)
        self.classes = logits.shape[1]
        wanted = [i for i in range(len(logits)) if first + i in self.rows]
        if wanted:
            found = logits[wanted].float().cpu().numpy()
            self.kept.update(zip((first + i for i in wanted), found, strict=True))
        return condense(logits, labels)

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows, in order, and their logits, from all processes."""
        parts: Sequence[dict[int, np.ndarray]] = gather_object([self.kept])
        every = {row: logits for part in parts for row, logits in part.items()}
        rows = sorted(every)
        return np.array(rows, dtype=np.int64), np.array([every[row] for row in rows]).reshape(len(rows), self.classes)
