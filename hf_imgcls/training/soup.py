"""Averages of saved networks, scored on the way: plain, or greedy by a metric of the validation split."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hf_imgcls.data import Data, attach_transform
from hf_imgcls.errors import InputError
from hf_imgcls.images import EvalTransform
from hf_imgcls.models import (
    can_renew,
    different_statistics,
    forget_cached,
    load_network,
    mean_weights,
    renew_statistics,
)
from hf_imgcls.scoring import METRICS, Scored
from hf_imgcls.training.score import score_splits, set_on_validation
from hf_imgcls.training.trainer import ImageTrainer

_MOST_IMAGES = 2048  # of train from which statistics are computed


class Soup:
    """Saved networks of one kind, any of which, or the mean of some, can be put into a trainer's model and scored.

    Args:
        folders: of the networks, by their names.
    """

    def __init__(self, trainer: ImageTrainer, folders: Mapping[str, Path], data: Data, scoring: EvalTransform):
        self.trainer, self.data, self.scoring = trainer, data, scoring
        self.names, self.folders = list(folders), list(folders.values())
        self.held_out = {role: rows for role, rows in data.splits.items() if role != "train"}
        first = self._state(0)
        self.statistics = sorted(
            set().union(*(different_statistics(first, self._state(number)) for number in range(1, len(folders))))
        )
        if wrong := [name for name in self.statistics if not can_renew(trainer.model, name)]:
            raise InputError(f"average: {wrong[0]} keeps running statistics that no mean is right for")

    def _state(self, number: int) -> dict:
        return load_network(str(self.folders[number]))[0].state_dict()

    def put_in(self, numbers: Sequence[int]) -> None:
        """The mean of some networks, with statistics of its own; of a single one it is that network."""
        self.trainer.model.load_state_dict(mean_weights(self._state(number) for number in numbers))
        forget_cached(self.trainer.model)
        if len(numbers) > 1 and self.statistics:
            renew_statistics(self.trainer.model, self.statistics, self._batches())

    def _batches(self):
        rows, size = self.data.splits["train"], self.trainer.args.eval_batch_size
        # In random order, since a batch of one class has other statistics; whole batches, since all count alike.
        chosen = np.random.default_rng(self.trainer.args.seed).permutation(len(rows))[:_MOST_IMAGES]
        chosen = chosen[: max(size, len(chosen) // size * size)]
        loader = self.trainer.get_test_dataloader(attach_transform(rows.select(chosen), self.scoring))
        return (self.trainer._prepare_inputs(batch)["pixel_values"] for batch in loader)

    def score(self, *splits: str) -> tuple[dict[str, dict[str, Any]], dict[str, Scored]]:
        """Metrics and scored splits of what is in the model; of all that are held out if none is named.

        Of several labels an image each network has thresholds of its own, set on validation, which is among the splits.
        """
        chosen = {role: self.held_out[role] for role in splits or self.held_out}
        scores, outputs = score_splits(self.trainer, chosen, self.scoring)
        set_on_validation(self.trainer, scores, outputs)
        return scores, outputs


def choose_greedily(soup: Soup, order: Sequence[int], best: float, metric: str, tell: Callable[[str], None]) -> list:
    """The networks whose mean is the answer: each, in this order, stays where validation does not get worse with it."""
    chosen, sign = [order[0]], 1 if METRICS[metric].greater_is_better else -1
    for number in order[1:]:
        soup.put_in([*chosen, number])
        value = soup.score("validation")[0]["validation"][metric]
        stays = sign * value >= sign * best
        tell(f"{'added' if stays else 'left out'}: {soup.names[number]}: {metric} {value:.4f}, before {best:.4f}")
        if stays:
            chosen, best = [*chosen, number], value
    return chosen
