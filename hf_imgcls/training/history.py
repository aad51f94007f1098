"""The Trainer whose history after a resume is that of an uninterrupted training: loss, ends of epochs, times."""

import time

import torch
from transformers import TrainerCallback

from hf_imgcls.training.callbacks import StopEarly
from hf_imgcls.training.checkpoints import CheckpointTrainer


class RunningLoss(TrainerCallback):
    """What Trainer begins anew in each process: losses since the last log and before it, and the time.

    Seconds are those that checkpoints have kept: what a kill undid is not counted. A checkpoint that was written at the
    last step of an epoch leaves the epoch's end, its log and evaluation, to be done; they are done after a resume.
    """

    def __init__(self, trainer: "HistoryTrainer"):
        self.trainer, self.epoch_ended = trainer, False

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.trainer.end_epoch()  # before the table prints the epoch's row

    def on_step_end(self, args, state, control, **kwargs):
        self.epoch_ended = False

    def on_epoch_end(self, args, state, control, **kwargs):
        self.epoch_ended = True

    def state(self) -> dict:
        trainer, gradient = self.trainer, self.trainer.gradient
        epoch = trainer.state.epoch
        return {
            "since_log": trainer._tr_loss.item(),
            "logged": trainer._total_loss_scalar,
            "last_logged": trainer._globalstep_last_logged,
            "seconds": time.time() - trainer.begun,
            "grad_norm": gradient.item() if isinstance(gradient, torch.Tensor) else gradient,
            "learning_rate": trainer.learning_rate,
            "epoch_end_due": not self.epoch_ended and (epoch == int(epoch) or trainer.has_ended()),
        }

    def restore(self, saved: dict) -> None:
        trainer = self.trainer
        trainer._tr_loss = torch.tensor(saved["since_log"], device=trainer.args.device)
        trainer._total_loss_scalar = saved["logged"]
        trainer._globalstep_last_logged = saved["last_logged"]
        trainer._initial_global_step = 0  # the mean of all losses is over all steps
        trainer.begun, trainer.earlier_seconds = time.time() - saved["seconds"], saved["seconds"]
        trainer.gradient, trainer.learning_rate = saved["grad_norm"], saved["learning_rate"]
        trainer.epoch_end_due = saved["epoch_end_due"]
        trainer.args.eval_on_start = False  # it was, before the first step


class HistoryTrainer(CheckpointTrainer):
    """Trainer that goes on as if it had never stopped, and does not go on where it had ended.

    Attributes:
        begun: when the training began, had it never stopped; `earlier_seconds` of it before the last resume.
        gradient, learning_rate: of the last step.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.begun, self.earlier_seconds = time.time(), 0.0
        self.gradient, self.learning_rate, self.epoch_end_due = None, None, False
        running = RunningLoss(self)
        self.add_callback(running)
        self.progress.add("running loss", running)

    def has_ended(self) -> bool:
        """Whether no step is left to be trained."""
        counts = [each for each in self.callback_handler.callbacks if isinstance(each, StopEarly)]
        return self.state.global_step >= self.state.max_steps or any(each.has_stopped() for each in counts)

    def _inner_training_loop(self, *args, **kwargs):
        self.begun = time.time()
        return super()._inner_training_loop(*args, **kwargs)

    def _run_epoch(self, *args, **kwargs):
        if self.has_ended():
            self.control.should_training_stop = True
        else:
            super()._run_epoch(*args, **kwargs)

    def _maybe_log_save_evaluate(self, tr_loss, grad_norm, *args, learning_rate=None, **kwargs):
        self.gradient, self.learning_rate = grad_norm, learning_rate
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, learning_rate=learning_rate, **kwargs)

    def end_epoch(self) -> None:
        """The end of an epoch whose last step's checkpoint this training was resumed from."""
        if self.epoch_end_due:
            self.epoch_end_due = False
            self.control = self.callback_handler.on_epoch_end(self.args, self.state, self.control)
            place = (self.model_wrapped, None, self.state.epoch, None, self.begun)
            self._maybe_log_save_evaluate(self._tr_loss, self.gradient, *place, learning_rate=self.learning_rate)

    def _finalize_training(self, trial, num_train_samples, start_time):
        self.end_epoch()
        return super()._finalize_training(trial, num_train_samples, self.begun)
