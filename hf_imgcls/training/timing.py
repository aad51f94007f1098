"""Where the time of a training goes: the time between two events counts for what the second one ends."""

import functools
import time
import timeit
from collections import Counter, deque
from typing import Any

import torch
from torch.utils.data import Dataset, get_worker_info
from transformers import TrainerCallback
from transformers.trainer_callback import ExportableState

from hf_imgcls.images import shown_before

# Parts of a training, and their names on the console.
PARTS = {
    "data": "waiting for images",
    "transfer": "copying to the device",
    "model": "forward, backward and step",
    "evaluation": "evaluation",
    "saving": "saving",
    "other": "the rest",
}
_SLOTS = 256  # one for each worker, so that no two add to the same number at once
_UNREAD = 64  # CUDA events before the oldest are read


class TimedRows(Dataset):
    """Rows that count how long they took to make: seconds of each worker, the process itself last, in shared memory."""

    def __init__(self, rows):
        self.rows = rows
        self.seconds = torch.zeros(_SLOTS, dtype=torch.float64).share_memory_()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict:
        return self.__getitems__([row])[0]

    def __getitems__(self, rows: list[int]) -> list[dict]:
        worker = get_worker_info()
        begun = time.perf_counter()
        times, rows = zip(*(divmod(row, len(self.rows)) for row in rows), strict=True)  # as `EpochOrder` counts
        with shown_before(times):
            made = self.rows.__getitems__(list(rows))
        self.seconds[worker.id % (_SLOTS - 1) if worker else -1] += time.perf_counter() - begun
        return made


class Clock(TrainerCallback, ExportableState):
    """Adds the time since the last event of a training to the part that has just ended.

    On a GPU the events are CUDA events, read later without waiting: `data` is the time that the GPU was idle for want
    of a batch, not the time that the process took to fetch one meanwhile. Counts are saved in checkpoints, so a resumed
    run continues them. The first step is counted too, with what it compiles and allocates.
    """

    def __init__(self, device: torch.device | str = "cpu"):
        self.on_gpu = torch.device(device).type == "cuda"
        self.seconds: Counter[str] = Counter()
        self.images = self.batches = 0  # of this process, each image as often as it was shown
        self.copying = None if self.on_gpu else 0.0  # seconds to copy a batch to the device, measured once
        self.rows: TimedRows | None = None  # none of a stream
        self.scoring = 0.0  # seconds, which are not part of the training
        self._read_before = 0.0  # by the part of the run that was interrupted
        self._marks: deque[tuple[str, Any]] = deque()

    def saw(self, pixels: torch.Tensor) -> None:
        """A batch on its way to the model."""
        self.images += len(pixels)
        self.batches += 1
        if self.copying is None:
            held, device = pixels.cpu().pin_memory(), pixels.device
            self.copying = min(timeit.repeat(lambda: held.to(device), torch.cuda.synchronize, repeat=3, number=1))

    def lap(self, part: str) -> None:
        """Count the time since the last lap for `part`."""
        if self.on_gpu:
            mark = torch.cuda.Event(enable_timing=True)
            mark.record()
        else:
            mark = time.perf_counter()
        self._marks.append((part, mark))
        if not self.on_gpu or len(self._marks) > _UNREAD:
            self._read()

    def _read(self, wait: bool = False) -> None:
        if wait and self.on_gpu and self._marks:
            self._marks[-1][1].synchronize()
        while len(self._marks) > 1:
            begun, (part, ended) = self._marks[0][1], self._marks[1]
            if self.on_gpu and not ended.query():
                break
            self.seconds[part] += begun.elapsed_time(ended) / 1000 if self.on_gpu else ended - begun
            self._marks.popleft()

    def state(self) -> dict:
        """What a checkpoint keeps; Trainer asks for it when all but this has been written."""
        if self._marks:
            self.lap("saving")
            self._read(wait=True)
        kept = {"seconds": dict(self.seconds), "images": self.images, "batches": self.batches}
        return {"args": {}, "attributes": {**kept, "_read_before": self._reading()}}

    def _reading(self) -> float:
        return self._read_before + (self.rows.seconds.sum().item() if self.rows else 0.0)

    def totals(self, processes: int = 1) -> dict[str, Any]:
        """Seconds by part and their sum, images of all processes, and `reading`: seconds that making rows took."""
        self._read(wait=True)
        parts = {part: self.seconds[part] for part in PARTS}
        parts["transfer"] = min(parts["data"], self.batches * (self.copying or 0.0))
        parts["data"] -= parts["transfer"]
        counted = {**parts, "seconds": sum(parts.values()), "images": self.images * processes}
        return {
            **{key: round(value, 3) for key, value in counted.items()},
            "reading": None if self.rows is None else round(self._reading(), 3),
        }

    def on_train_begin(self, args, state, control, **kwargs):
        vars(self).update(state.stateful_callbacks[type(self).__name__]["attributes"])
        self.seconds = Counter(self.seconds)
        if self.rows:
            self.rows.seconds.zero_()
        self._marks.clear()
        self.lap("other")

    def _end(self, part: str, *args, **kwargs) -> None:
        self.lap(part)

    on_epoch_begin = on_epoch_end = functools.partialmethod(_end, "other")
    on_step_begin = functools.partialmethod(_end, "data")
    on_step_end = functools.partialmethod(_end, "model")
    on_evaluate = functools.partialmethod(_end, "evaluation")
    on_save = functools.partialmethod(_end, "saving")

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.lap("evaluation" if any(key.startswith("eval_") for key in logs or {}) else "other")

    def on_train_end(self, args, state, control, **kwargs):
        self.lap("other")
        # Beside Trainer's own summary, the last entry of its log.
        state.log_history[-1]["time"] = self.totals(args.world_size)
        self._marks.clear()
