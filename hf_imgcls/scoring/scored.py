"""What is kept of a scored image: its best classes and two log-probabilities, not the logits of a thousand classes."""

import dataclasses
from collections.abc import Callable, Iterable, Sequence, Sized
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_imgcls.scoring.sets import ScoredSets

if TYPE_CHECKING:
    import torch

BEST = 5  # classes that are kept of an image
MAX_COMPARED = 500  # images that the parity check compares
MAX_MAPPED = 2000  # images of a split whose features are kept for a map of them
_MOST_KEPT = 2**24  # scores of all classes that are kept of a split, 134 MB


@dataclasses.dataclass(frozen=True)
class Scored:
    """A scored split, in its order; 60 bytes an image.

    Attributes:
        ranked: the best classes of each image, best first, shape (images, at most 5); -1 where its logits are NaN.
        log_likelihoods: logarithm of the probability of the true class, float64, shape (images,).
        top_log_probabilities: the same of the best class.
        sample: rows whose logits were kept, and these, float32 of shape (rows, classes).
        probabilities: of all classes, shape (images, classes), where a metric wanted them or there are few.
        energies: logarithm of the sum of the logits' exponentials.
        features: rows whose features were kept, and these, float32 of shape (rows, width).
    """

    ranked: np.ndarray
    log_likelihoods: np.ndarray
    top_log_probabilities: np.ndarray
    label_ids: np.ndarray
    classes: int
    sample: tuple[np.ndarray, np.ndarray] | None = None
    probabilities: np.ndarray | None = None
    energies: np.ndarray | None = None
    features: tuple[np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self.label_ids)

    @property
    def failed(self) -> np.ndarray:
        """Which images have no prediction, shape (images,)."""
        return self.predictions < 0

    @property
    def predictions(self) -> np.ndarray:
        """The best class of each image, -1 where it has none."""
        return self.ranked[:, 0]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis, in the precision of the logits."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def reduce_logits(logits: "torch.Tensor", labels: "torch.Tensor", probabilities: bool = False) -> "torch.Tensor":
    """What is kept of a batch of logits, shape (images, classes), in one float64 tensor that processes gather.

    Where an image may have several labels, labels of shape (images, classes), all logits are kept.

    Columns: at most 5 best classes (of equal logits the first comes first), the log-probabilities of the true and of
    the best class, the energy, and, if wanted, the probabilities of all classes.
    """
    import torch  # here, so that what only reads numbers need not wait for it

    if logits.device.type == "mps":  # which has no float64
        logits, labels = logits.cpu(), labels.cpu()
    logits = logits.double()
    if labels.dim() == 2:
        return logits
    ranked = logits.argsort(dim=1, descending=True, stable=True)[:, :BEST]
    ranked[logits.isnan().any(dim=1)] = -1
    shifted = logits - logits.amax(dim=1, keepdim=True)
    logs = shifted - shifted.exp().sum(dim=1, keepdim=True).log()
    best = logs.amax(dim=1, keepdim=True)
    kept = [ranked.double(), logs.gather(1, labels[:, None]), best, logits.amax(dim=1, keepdim=True) - best]
    return torch.cat([*kept, logs.exp()] if probabilities else kept, dim=1)


def collect_scored(
    reduced: list[np.ndarray], label_ids: list[np.ndarray], classes: int, sample=None, thresholds=None
) -> Scored | ScoredSets:
    """A split from what `reduce_logits` kept of its batches, and their labels; `thresholds` of several an image.

    `sample` loses rows behind the last one: images that filled up the last batch of several processes.
    """
    reduced, label_ids, best = np.concatenate(reduced), np.concatenate(label_ids), min(BEST, classes)
    if sample is not None:
        known = sample[0] < len(label_ids)
        sample = (sample[0][known], sample[1][known])
    if label_ids.ndim == 2:
        return ScoredSets(reduced.astype(np.float32), label_ids > 0, sample, thresholds)
    ranked, (likelihoods, top, energies) = reduced[:, :best].astype(np.int64), reduced[:, best : best + 3].T
    probabilities = reduced[:, best + 3 :] if reduced.shape[1] > best + 3 else None
    return Scored(ranked, likelihoods, top, label_ids, classes, sample, probabilities, energies)


def add_features(split: Scored | ScoredSets, features: tuple[np.ndarray, np.ndarray] | None) -> Scored | ScoredSets:
    """A split with the features of some of its rows, without rows behind the last one and those that are no numbers."""
    if features is not None:
        known = (features[0] < len(split)) & np.isfinite(features[1]).all(axis=1)
        split = dataclasses.replace(split, features=(features[0][known], features[1][known]))
    return split


def are_few(rows: Sized, classes: int) -> bool:
    """Whether the probabilities of all classes of a split's rows are kept; not of a stream, whose length is unknown."""
    return isinstance(rows, Sized) and len(rows) * classes <= _MOST_KEPT


def scored_logits(logits: "torch.Tensor", labels: "torch.Tensor") -> Scored | ScoredSets:
    """A split from all of its logits, shape (images, classes), and label ids, (images,), or sets, (images, classes)."""
    return collect_scored([reduce_logits(logits, labels).cpu().numpy()], [labels.cpu().numpy()], logits.shape[1])


class Sampler:
    """Reduces the batches of a split as they are scored, and keeps the logits and features of some of its rows.

    Every process sees its own part of every batch, in turn: of a batch of 8 on two processes rows 0 to 3 and 4 to 7.

    Args:
        rows: those whose logits are kept.
        probabilities: keep those of all classes of every row.
        mapped: rows whose features are kept, and what gives features (rows, width) of rows of the last batch, or None.
    """

    def __init__(
        self,
        rows: Iterable[int],
        process: int,
        processes: int,
        probabilities: bool = False,
        mapped: tuple[Iterable[int], Callable[[Sequence[int]], Any]] = ((), None),
    ):
        self.rows, self.process, self.processes = set(map(int, rows)), process, processes
        self.probabilities = probabilities
        self.mapped, self.take = set(map(int, mapped[0])), mapped[1]
        self.seen = self.classes = 0
        self.kept: dict[int, np.ndarray] = {}
        self.features: dict[int, np.ndarray] = {}

    def __call__(self, logits: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
        first = self.seen + self.process * len(logits)
        self.seen += self.processes * len(logits)
        self.classes = logits.shape[1]
        wanted = [i for i in range(len(logits)) if first + i in self.rows]
        if wanted:
            self.kept.update(zip((first + i for i in wanted), logits[wanted].float().cpu().numpy(), strict=True))
        if self.take:
            wanted = [i for i in range(len(logits)) if first + i in self.mapped]
            if (features := self.take(wanted)) is not None:
                self.features.update(zip((first + i for i in wanted), features.numpy(), strict=True))
        return reduce_logits(logits, labels, self.probabilities)

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows, in order, and their logits, from all processes."""
        rows, logits = _gathered(self.kept)
        return rows, logits.reshape(len(rows), self.classes)

    def sampled_features(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The rows, in order, and their features, from all processes; None where none were kept."""
        rows, features = _gathered(self.features)
        return (rows, features) if len(rows) else None


def _gathered(kept: dict[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    from accelerate.utils import gather_object

    every = {row: values for part in gather_object([kept]) for row, values in part.items()}
    rows = sorted(every)
    return np.array(rows, dtype=np.int64), np.array([every[row] for row in rows])


def served_split(splits: Iterable[str]) -> str | None:
    """The split of the parity check: validation, else test, else images of train, which were not scored."""
    return next((name for name in ("validation", "test", "train") if name in splits), None)


def choose_rows(count: int, seed: int, most: int = MAX_COMPARED) -> np.ndarray:
    """Every row of a small split, a seeded sample of so many of a larger one."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).permutation(count)[:most])


def main_split(results: dict[str, Any]) -> str | None:
    """The split that the card is about: test, else validation."""
    return next((split for split in ("test", "validation") if split in results["scores"]), None)
