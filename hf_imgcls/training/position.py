"""Where a training is in a stream."""

from typing import Any

import torch
from accelerate.utils import gather_object
from transformers import TrainerCallback

from hf_imgcls.data import StreamRows
from hf_imgcls.errors import InputError

_UNREAD = 64  # batches before their rows are counted: reading them waits for the device


class StreamPosition(TrainerCallback):
    """The running pass, the batches of it that were trained on, and how far each worker had read for them.

    Workers are ahead of the training, and skip bad images: so each row says how far its worker was when it made it.
    Several processes train on rows that the first one reads; each has its part of a batch.

    Attributes:
        ended: whether the running pass has no more batches; a training that is stopped within one has not ended it.
    """

    def __init__(self, rows: StreamRows, workers: int, processes: int):
        self.rows, self.processes = rows, processes
        self.workers = max(1, workers)
        rows.numbered, rows.first = True, processes
        self._begin(0)

    def _begin(self, epoch: int) -> None:
        self.epoch, self.batches, self.ended = epoch, 0, False
        self.places = [[0, 0, 0]] * self.workers  # rows read, rows delivered, the last image's number
        self._unread: list[torch.Tensor] = []

    def saw(self, places: torch.Tensor) -> None:
        """A batch that is trained on; `places` of its rows, shape (images, 4)."""
        self.batches += 1
        self._unread.append(places)
        if len(self._unread) >= _UNREAD:
            self._read()

    def _read(self) -> None:
        if self._unread:
            for worker, *place in torch.cat(self._unread).tolist():
                self.places[worker] = max(self.places[worker], place)
            self._unread = []

    def state(self) -> dict[str, Any]:
        self._read()
        parts = gather_object([self.places]) if self.processes > 1 else [self.places]
        return {
            "epoch": self.epoch,
            "batches": self.batches,
            "places": [max(each) for each in zip(*parts, strict=True)],
        }

    def restore(self, saved: dict[str, Any]) -> None:
        if len(saved["places"]) != self.workers:
            raise InputError(
                f"training.dataloader_num_workers: the stream was read by {len(saved['places'])} and its rows would "
                "come in another order; set the former number, or add --start-over"
            )
        self._begin(saved["epoch"])
        self.batches, self.places = saved["batches"], saved["places"]
        self.rows.resume(self.epoch, self.places)

    def on_epoch_end(self, args, state, control, **kwargs):
        if self.ended:
            self._begin(self.epoch + 1)
