"""A training that a signal ends: after the present step, with a checkpoint from which it resumes exactly."""

from functools import partial
from pathlib import Path

from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from hf_imgcls.errors import Interrupted
from hf_imgcls.machine import Agreement, StopRequest, shield_worker


class EpochEnd(TrainerCallback):
    """Saves what is due at the last step of an epoch when the epoch is over.

    A checkpoint before its log and evaluation would lack both, and its random state is that before the evaluation.
    """

    def __init__(self):
        self.over = self.due = False

    def on_step_begin(self, args, state, control, **kwargs):
        self.over = False

    def on_step_end(self, args, state, control, **kwargs):
        if ends_epoch(state, control):
            self.due, control.should_save = control.should_save, False

    def on_epoch_end(self, args, state, control, **kwargs):
        control.should_save |= self.due
        self.over, self.due = True, False


def ends_epoch(state, control) -> bool:
    """Whether the step that has just ended is the last one of its epoch."""
    return control.should_training_stop or control.should_epoch_stop or float(state.epoch).is_integer()


class InterruptibleTrainer(Trainer):
    """Trainer that ends on a signal as soon as a checkpoint is whole, with an Interrupted."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._epoch_end = EpochEnd()
        self.add_callback(self._epoch_end)
        self._request, self._agreement = StopRequest(), Agreement(self.args.device)
        self._asked, self._saved_at = 0, None

    def train(self, *args, **kwargs):
        with StopRequest() as self._request:
            self._asked, self._saved_at, self._agreement = 0, None, Agreement(self.args.device)
            output = super().train(*args, **kwargs)
            self._agreement.largest(self._request.number)
            if number := self._agreement.largest(self._request.number):
                raise Interrupted(number, "interrupted after the last step")
        return output

    def _get_dataloader(self, *args, **kwargs):
        loader = super()._get_dataloader(*args, **kwargs)
        loader.base_dataloader.worker_init_fn = partial(_begin_worker, loader.base_dataloader.worker_init_fn)
        return loader

    def _save_checkpoint(self, *args, **kwargs):
        super()._save_checkpoint(*args, **kwargs)
        self._saved_at = self.state.global_step

    def _maybe_log_save_evaluate(self, tr_loss, grad_norm, model, trial, *args, **kwargs):
        """Trainer's own, after each step and each epoch; then the end, if a process was asked for it."""
        super()._maybe_log_save_evaluate(tr_loss, grad_norm, model, trial, *args, **kwargs)
        self._asked = self._asked or self._agreement.largest(self._request.number)
        if not self._asked or (ends_epoch(self.state, self.control) and not self._epoch_end.over):
            return
        step = self.state.global_step
        if self._saved_at != step:
            self._save_checkpoint(model, trial)
            self.control = self.callback_handler.on_save(self.args, self.state, self.control)
        self.accelerator.wait_for_everyone()  # the first process that ends has the launcher end the others
        checkpoint = Path(self.args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{step}"
        raise Interrupted(self._asked, f"interrupted at step {step}; saved {checkpoint}")


def _begin_worker(begin, worker: int) -> None:
    shield_worker()
    if begin:
        begin(worker)
