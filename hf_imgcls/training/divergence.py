"""Divergence: a loss, a metric or weights that are NaN or infinite end a run before they replace what is good."""

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import Trainer

from hf_imgcls.errors import DivergenceError
from hf_imgcls.scoring import Scored
from hf_imgcls.store import newest_whole

STATISTICS = ("running_mean", "running_var")  # of normalizations; other buffers, such as masks, may be infinite


class FiniteTrainer(Trainer):
    """Trainer that stops where it diverges, and saves no checkpoint of what has diverged.

    Gradients may overflow: under fp16 the scaler skips such a step. On a CPU a run stops within the step; elsewhere,
    and with several processes, the first bad step is noted on the device and read at the next log, evaluation or
    checkpoint: reading it at every step would wait for the device.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # Trainer's own filter would replace a NaN by the mean of the losses before it, and wait for it at every step.
        self.args.logging_nan_inf_filter = False
        self._read_each_step = self.args.device.type == "cpu" and self.args.world_size == 1
        self._first_bad = torch.tensor(0, device=self.args.device)  # a step, or 0

    def training_step(self, *args, **kwargs):
        loss, step = super().training_step(*args, **kwargs), self.state.global_step + 1
        self._first_bad = torch.where(loss.isfinite() | (self._first_bad > 0), self._first_bad, step)
        if self._read_each_step:
            self._check_losses()
        return loss

    def log(self, logs, *args, **kwargs):
        self._check_losses()
        for key, value in logs.items():
            if key.startswith("eval_") and isinstance(value, float) and not math.isfinite(value):
                self._stop("validation " + key.removeprefix("eval_"), self.state.global_step)
        super().log(logs, *args, **kwargs)

    def _save_checkpoint(self, *args, **kwargs):
        self._check_losses()
        self.check_weights()
        return super()._save_checkpoint(*args, **kwargs)

    def check_weights(self) -> None:
        """Refuse trained weights, and statistics of normalizations, that are NaN or infinite (DivergenceError)."""
        changed = [each for each in self.model.parameters() if each.requires_grad]
        changed += [each for name, each in self.model.named_buffers() if name.endswith(STATISTICS)]
        trained = [each.detach().isfinite().all() for each in changed]
        if trained and max(self._everywhere((~torch.stack(trained).all()).long().to(self.args.device))):
            self._stop("weights", self.state.global_step)

    def check_predictions(self, outputs: Mapping[str, Scored], step: int) -> None:
        """Refuse a trained network that predicts nothing, of finite weights so large that their products are not."""
        for split, scored in outputs.items():
            if len(scored) and scored.failed.all():
                self._stop(f"predictions of {split}", step)

    def _check_losses(self) -> None:
        if steps := [step for step in self._everywhere(self._first_bad) if step]:
            self._stop("loss", min(steps))

    def _everywhere(self, number: torch.Tensor) -> list[int]:
        """A number of each process."""
        gathered = self.accelerator.gather(number) if self.args.world_size > 1 else number
        return gathered.flatten().tolist()

    def _stop(self, what: str, step: int) -> None:
        args, (good, _) = self.args, newest_whole(Path(self.args.output_dir))
        half = next((precision for precision in ("fp16", "bf16") if getattr(args, precision)), None)
        if what == "loss" and step == 1:
            causes = ["the weights of model.checkpoint", f"training.{half}" if half else "", "a loss of your own"]
            change = f"before any weight has changed; look at {', '.join(filter(None, causes))}"
        elif what in ("loss", "weights", "validation loss") or what.startswith("predictions"):
            others = f", or set training.{half}=false" if half else ""
            others += ", or clip with training.max_grad_norm=1" if not args.max_grad_norm else ""
            change = f"lower training.learning_rate (found {args.learning_rate:g}){others}, and add --start-over"
        else:
            change = "training.learning_rate may be too high, or the metric returns no number for some predictions"
        kept = f"the last good checkpoint is {good}" if good else "no checkpoint was saved before"
        verb = "are" if what.startswith(("weights", "predictions")) else "is"
        raise DivergenceError(f"training diverged at step {step}: the {what} {verb} NaN or infinite; {change}; {kept}")
