"""What every trainer is asked, and when it has answered. Of packages it needs torch and numpy alone."""

import contextlib
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

_WARM_UP = 3  # steps before the clock starts, and as many more as workers may have made ready by then
_AHEAD = 4  # batches that a worker has ready, at most


class Answered(Exception):
    """Ends a training in the middle of it."""


class Job:
    """One training of one trainer: images a second over `steps` steps, or seconds to a validation accuracy, `target`.

    Attributes:
        folder: has train and validation with class folders.
        network: the folder of a checkpoint of transformers, or `timm/` and an architecture, from scratch.
        weights: the same checkpoint in timm's layout, or None.
        mean, std: of the network's pixels.
        images: of train; `every`: steps from one evaluation to the next.
    """

    def __init__(self, **asked: Any):
        vars(self).update(asked)
        self.done = self.seen = 0
        self.begun = self.since = self.spent = self.best = 0.0
        self.answer: dict[str, Any] = {}
        self.skip = _WARM_UP + _AHEAD * self.workers

    @classmethod
    def read(cls) -> "Job":
        os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1", TRANSFORMERS_VERBOSITY="error")
        job = cls(**json.loads(sys.argv[1]))
        random.seed(job.seed)  # timm and fastai draw from all three
        np.random.seed(job.seed)
        torch.manual_seed(job.seed)
        return job

    @property
    def train(self) -> Path:
        return Path(self.folder) / "train"

    @property
    def validation(self) -> Path:
        return Path(self.folder) / "validation"

    @property
    def classes(self) -> list[str]:
        return sorted(path.name for path in self.train.iterdir())

    @property
    def half(self) -> torch.dtype | None:
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)

    @property
    def last_step(self) -> int:
        """At which a training ends that has not answered before; with a target it is evaluated then."""
        steps = self.epochs * -(-self.images // self.batch)
        return max(1, steps // self.every) * self.every if self.target else self.skip + self.steps

    def now(self) -> float:
        if self.device != "cpu":
            torch.accelerator.synchronize()
        return time.perf_counter()

    def start(self) -> None:
        """When the libraries are imported: what else a trainer does before its first step counts."""
        self.begun = self.since = self.now()

    def stepped(self, images: int | None = None) -> bool:
        """After a step on so many images, by default those of its place in an epoch; whether to evaluate now."""
        self.done += 1
        steps = -(-self.images // self.batch)
        last = self.images - (steps - 1) * self.batch
        self.seen += images or (self.batch if self.done % steps else last)
        if self.target:
            due = self.done % self.every == 0
            if due:
                self.spent += self.now() - self.since
            return due
        if self.done == self.skip:
            self.begun, self.seen = self.now(), 0
        elif self.done == self.skip + self.steps:
            self._end(rate=self.seen / (self.now() - self.begun))
        return False

    def evaluated(self, accuracy: float) -> None:
        """Ends the training where the target is reached, or where no step is left."""
        self.best, self.since = max(self.best, accuracy), self.now()
        if accuracy >= self.target or self.done >= self.last_step:
            reached = self.spent if accuracy >= self.target else None
            self._end(seconds=reached, with_evaluation=self.since - self.begun, images=self.seen, accuracy=self.best)

    def _end(self, **found: Any) -> None:
        memory = torch.cuda.max_memory_allocated() // 2**20 if torch.cuda.is_available() else 0
        self.answer = {**found, "memory": memory}
        raise Answered("the training has answered")  # fastai reads it

    def run(self, train) -> None:
        """Call the training, and print its answer as a line of JSON."""
        with contextlib.suppress(Answered):
            train(self)
        print(json.dumps(self.answer), flush=True)
        os._exit(0)  # workers that still read are not waited for
