"""Training accuracy: of the training batches as they pass, augmented and in training mode, since the last log."""

import torch
from accelerate import Accelerator
from transformers import TrainerCallback


class RunningAccuracy(TrainerCallback):
    """Counts correct predictions on the device: only a log waits for them, no step does."""

    def __init__(self, device: torch.device | str = "cpu"):
        self.device = device
        self._begin()

    def _begin(self) -> None:
        self.correct, self.images = torch.zeros((), dtype=torch.int64, device=self.device), 0

    def on_train_begin(self, args, state, control, **kwargs):
        self._begin()

    def state(self) -> dict[str, int]:
        """What a checkpoint keeps of this process."""
        return {"correct": int(self.correct), "images": self.images}

    def restore(self, saved: dict[str, int]) -> None:
        self.correct.fill_(saved["correct"])
        self.images = saved["images"]

    def saw(self, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Logits of a batch, shape (images, classes), and its label ids, shape (images,)."""
        self.correct += (logits.detach().argmax(-1) == labels).sum()
        self.images += len(labels)

    def read(self, accelerator: Accelerator | None = None) -> float | None:
        """The accuracy since the last reading, over all processes; None of no images. Every process must call it."""
        counts = torch.stack([self.correct, torch.tensor(self.images, device=self.device)])
        if accelerator and accelerator.num_processes > 1:
            counts = accelerator.reduce(counts, "sum")
        self._begin()
        correct, images = counts.tolist()
        return correct / images if images else None
