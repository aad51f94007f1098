"""The Trainer that saves and restores exactly: its checkpoints, the best one of them, and the finished model."""

from pathlib import Path

from transformers.trainer import TRAINING_ARGS_NAME

from hf_imgcls.errors import RestoreError
from hf_imgcls.models import check_restored, restore_weights
from hf_imgcls.training.divergence import FiniteTrainer
from hf_imgcls.training.progress import Progress


class CheckpointTrainer(FiniteTrainer):
    """Trainer whose checkpoints hold all that an exact resume needs; `progress` takes further parts of it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.progress = Progress()

    def train(self, resume_from_checkpoint: str | None = None, **kwargs):
        self.progress.folder = Path(resume_from_checkpoint) if resume_from_checkpoint else None
        self.pop_callback(Progress)  # to be the last one: others begin anew where a training begins
        self.add_callback(self.progress)
        return super().train(resume_from_checkpoint, **kwargs)

    def _save_checkpoint(self, model, trial):
        super()._save_checkpoint(model, trial)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        self.progress.save(folder, self.args.process_index)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            restore_weights(self.model, resume_from_checkpoint)

    def _load_best_model(self):
        best = self.state.best_model_checkpoint
        if not (self.is_fsdp_enabled or self.is_deepspeed_enabled):
            restore_weights(self.model, best)
            return
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
