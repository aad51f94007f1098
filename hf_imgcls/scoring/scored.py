"""What is kept of a scored image: its best classes and two log-probabilities, not the logits of a thousand classes."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

BEST = 5  # classes that are kept of an image


@dataclasses.dataclass(frozen=True)
class Scored:
    """A scored split, in its order; 60 bytes an image.

    Attributes:
        ranked: the best classes of each image, best first, shape (images, at most 5); -1 where its logits are NaN.
        log_likelihoods: logarithm of the probability of the true class, float64, shape (images,).
        top_log_probabilities: the same of the best class.
        label_ids: the true classes, shape (images,).
        classes: how many the network tells apart.
        sample: rows whose logits were kept, and these, float32 of shape (rows, classes).
        probabilities: of all classes, shape (images, classes), where a metric wanted them.
    """

    ranked: np.ndarray
    log_likelihoods: np.ndarray
    top_log_probabilities: np.ndarray
    label_ids: np.ndarray
    classes: int
    sample: tuple[np.ndarray, np.ndarray] | None = None
    probabilities: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.label_ids)

    @property
    def predictions(self) -> np.ndarray:
        """The best class of each image, -1 where it has none."""
        return self.ranked[:, 0]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis, in the precision of the logits."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def reduce_logits(logits: "torch.Tensor", labels: "torch.Tensor", probabilities: bool = False) -> "torch.Tensor":
    """What is kept of a batch, in one tensor that processes gather.

    Args:
        logits: shape (images, classes).
        labels: shape (images,).
        probabilities: keep those of all classes too.

    Returns:
        float64, shape (images, at most 5 + 2): best classes, the log-probabilities of the true and of the best class;
        then, if wanted, the probabilities of all classes. Of equal logits the first comes first.
    """
    import torch  # here, so that what only reads numbers need not wait for it

    if logits.device.type == "mps":  # which has no float64
        logits, labels = logits.cpu(), labels.cpu()
    logits = logits.double()
    ranked = logits.argsort(dim=1, descending=True, stable=True)[:, :BEST]
    ranked[logits.isnan().any(dim=1)] = -1
    shifted = logits - logits.amax(dim=1, keepdim=True)
    logs = shifted - shifted.exp().sum(dim=1, keepdim=True).log()
    kept = [ranked.double(), logs.gather(1, labels[:, None]), logs.amax(dim=1, keepdim=True)]
    return torch.cat([*kept, logs.exp()] if probabilities else kept, dim=1)


def collect_scored(reduced: np.ndarray, label_ids: np.ndarray, classes: int, sample=None) -> Scored:
    """A split from what `reduce_logits` kept of its batches."""
    best = min(BEST, classes)
    ranked, (likelihoods, top) = reduced[:, :best].astype(np.int64), reduced[:, best : best + 2].T
    probabilities = reduced[:, best + 2 :] if reduced.shape[1] > best + 2 else None
    return Scored(ranked, likelihoods, top, label_ids, classes, sample, probabilities)


def concatenated(batches: np.ndarray | list[np.ndarray]) -> np.ndarray:
    """All batches that a trainer has kept, as one array."""
    return np.concatenate(batches) if isinstance(batches, list) else batches


def from_logits(logits: np.ndarray, label_ids: np.ndarray) -> Scored:
    """A split whose logits, shape (images, classes), are at hand, with all of them as its sample."""
    import torch

    reduced = reduce_logits(torch.tensor(np.asarray(logits)), torch.tensor(np.asarray(label_ids)), True).numpy()
    rows = np.arange(len(label_ids))
    return collect_scored(reduced, np.asarray(label_ids), logits.shape[1], (rows, np.asarray(logits)))


class Sampler:
    """Reduces the batches of a split as they are scored, and keeps the logits of some of its rows.

    Every process sees its own part of every batch, in turn: of a batch of 8 on two processes rows 0 to 3 and 4 to 7.

    Args:
        rows: numbers in the split of those to keep.
        process: number of this one.
        processes: how many there are.
        probabilities: keep those of all classes of every row.
    """

    def __init__(self, rows: Iterable[int], process: int, processes: int, probabilities: bool = False):
        self.rows, self.process, self.processes = set(map(int, rows)), process, processes
        self.probabilities = probabilities
        self.seen = 0
        self.classes = 0
        self.kept: dict[int, np.ndarray] = {}

    def __call__(self, logits: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
        first = self.seen + self.process * len(logits)
        self.seen += self.processes * len(logits)
        self.classes = logits.shape[1]
        wanted = [i for i in range(len(logits)) if first + i in self.rows]
        if wanted:
            found = logits[wanted].float().cpu().numpy()
            self.kept.update(zip((first + i for i in wanted), found, strict=True))
        return reduce_logits(logits, labels, self.probabilities)

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows, in order, and their logits, from all processes."""
        from accelerate.utils import gather_object

        parts: Sequence[dict[int, np.ndarray]] = gather_object([self.kept])
        every = {row: logits for part in parts for row, logits in part.items()}
        rows = sorted(every)
        return np.array(rows, dtype=np.int64), np.array([every[row] for row in rows]).reshape(len(rows), self.classes)
