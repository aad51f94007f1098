"""The Trainer that saves and restores exactly: its checkpoints, the best one of them, and the finished model."""

from pathlib import Path

from transformers import TrainerCallback
from transformers.trainer import TRAINING_ARGS_NAME

from hf_imgcls.errors import RestoreError
from hf_imgcls.machine import on_main, say
from hf_imgcls.models import Adapter, check_restored, merged, restore_trained, save_updates
from hf_imgcls.store import (
    STATE,
    checkpoint_of,
    delete_old,
    draft_of,
    find_fault_of_weights,
    put_in_place,
    saved_or_denied,
)
from hf_imgcls.training.divergence import FiniteTrainer
from hf_imgcls.training.progress import Progress


class CheckpointTrainer(FiniteTrainer):
    """Trainer whose checkpoints hold all that an exact resume needs; `progress` takes further parts of it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.progress = Progress()
        self.adapter: Adapter | None = None  # saved beside the finished model
        self._place: str | None = None  # of the checkpoint that is being written

    def train(self, resume_from_checkpoint: str | None = None, **kwargs):
        self.pop_callback(_Resumed)
        # The last one, since others begin anew where a training begins.
        self.add_callback(_Resumed(self, Path(resume_from_checkpoint) if resume_from_checkpoint else None))
        return super().train(resume_from_checkpoint, **kwargs)

    @property
    def best_checkpoint(self) -> Path | None:
        """Where the best checkpoint is, wherever the run's folder may have been when it was saved."""
        step = self.state.best_global_step
        return checkpoint_of(Path(self.args.output_dir), step) if step else None

    def _determine_best_metric(self, metrics, trial):
        found = super()._determine_best_metric(metrics, trial)
        if found and self.args.load_best_model_at_end:  # also where it is evaluated more often than saved
            self.control.should_save = True
        return found

    def _get_output_dir(self, trial):
        return self._place or super()._get_output_dir(trial)

    def _save_checkpoint(self, model, trial):
        """Write a checkpoint aside and rename it, then delete older ones."""
        args, step = self.args, self.state.global_step
        checkpoint = checkpoint_of(Path(args.output_dir), step)
        draft = draft_of(checkpoint)
        self._place = str(draft.parent)
        try:
            with saved_or_denied(checkpoint):
                super()._save_checkpoint(model, trial)
                self.progress.save(draft, args.process_index)
                self.accelerator.wait_for_everyone()
                if args.should_save:
                    self.state.best_model_checkpoint = None  # its step says where it is; a path would go out of date
                    self.state.save_to_json(str(draft / STATE))
                    put_in_place(draft, checkpoint)
                    delete_old(checkpoint.parent, args.save_total_limit, step, self.state.best_global_step)
        finally:
            self._place = None
        self.state.best_model_checkpoint = self.best_checkpoint and str(self.best_checkpoint)
        self.accelerator.wait_for_everyone()

    def save_model(self, *args, **kwargs):
        with merged(self.model):
            super().save_model(*args, **kwargs)

    def _save_optimizer_and_scheduler(self, output_dir):
        super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save:
            save_updates(self.model, Path(output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            restore_trained(self.model, resume_from_checkpoint)

    def _load_best_model(self):
        best = self.best_checkpoint
        if fault := on_main(lambda: find_fault_of_weights(best)):
            raise RestoreError(f"{best}, the best checkpoint: {fault}; put it back, or add --start-over")
        if not (self.is_fsdp_enabled or self.is_deepspeed_enabled):
            restore_trained(self.model, best)
            return
        self.state.best_model_checkpoint = str(best)
        super()._load_best_model()
        state = self.accelerator.get_state_dict(self.model_wrapped)
        if self.accelerator.is_main_process:
            check_restored(self.accelerator.unwrap_model(self.model), best, state)

    def save_run(self, folder: Path) -> None:
        """Save weights, config and processor; the recipe, not a pickled object, says how they were trained."""
        self.check_weights()
        self.save_model(str(folder), _internal_call=True)
        if self.args.should_save:
            (folder / TRAINING_ARGS_NAME).unlink(missing_ok=True)
            if not any(folder.glob("model*.safetensors")):
                raise RestoreError(f"{folder}: no weights were written; FSDP needs the state dict type FULL_STATE_DICT")
            if self.adapter:
                place = self.adapter.save(folder, self.processing_class)
                say(f"adapter: the updates of LoRA and the head are saved in {place}")


class _Resumed(TrainerCallback):
    """Where a training begins: the parts of a checkpoint's progress, and the best checkpoint in the present folder."""

    def __init__(self, trainer: CheckpointTrainer, checkpoint: Path | None):
        self.trainer, self.checkpoint = trainer, checkpoint

    def on_train_begin(self, args, state, control, **kwargs):
        # Without it Trainer would end with the last weights.
        best = self.trainer.best_checkpoint
        state.best_model_checkpoint = best and str(best)
        if self.checkpoint:
            self.trainer.progress.restore(self.checkpoint, args.process_index, args.world_size)
