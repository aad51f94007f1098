"""What a run has scored, sent to the trackers of `training.report_to` that its training was logged to."""

import copy
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from transformers.integrations import TensorBoardCallback, TrackioCallback, WandbCallback
from transformers.integrations.integration_utils import default_logdir

from hf_imgcls.scoring import metrics_in
from hf_imgcls.training.trainer import ImageTrainer


def send_results(
    trainer: ImageTrainer, scores: Mapping[str, Mapping], steps: int, pictures: Mapping[str, Path]
) -> None:
    """Send the scores of each split, `eval/accuracy` and `test/accuracy` as Trainer names them, and pictures.

    Args:
        steps: of the training, at which they are shown.
        pictures: PNG files by name.
    """
    state = copy.copy(trainer.state)
    state.global_step = steps
    logs = {}
    for split, values in scores.items():
        prefix = "eval" if split == "validation" else split
        logs |= {f"{prefix}_{key}": values[key] for key in metrics_in(values)}
    for tracker in trainer.callback_handler.callbacks:
        if not isinstance(tracker, TensorBoardCallback | TrackioCallback | WandbCallback):
            continue
        if isinstance(tracker, TensorBoardCallback):
            _find_place(tracker, trainer.args.output_dir)
        tracker.on_log(trainer.args, state, trainer.control, logs=logs, model=trainer.model)
        for name, file in pictures.items():
            _send_picture(tracker, f"plots/{name}", file, steps)
        if not isinstance(tracker, WandbCallback):  # whose run goes on until the process ends
            tracker.on_train_end(trainer.args, state, trainer.control, model=trainer.model)


def _find_place(tracker: TensorBoardCallback, folder: str) -> None:
    """The folder of the training's events; SummaryWriter by itself would make one where the command was given."""
    if tracker.logging_dir is None:
        there = sorted(Path(folder, "runs").glob("*"), key=os.path.getmtime)
        tracker.logging_dir = str(there[-1] if there else Path(folder, default_logdir()))


def _send_picture(tracker, name: str, file: Path, steps: int) -> None:
    if isinstance(tracker, TensorBoardCallback):
        with Image.open(file) as image:
            tracker.tb_writer.add_image(name, np.asarray(image.convert("RGB")), steps, dataformats="HWC")
    elif isinstance(tracker, TrackioCallback):
        tracker._trackio.log({name: tracker._trackio.Image(str(file))})
    else:
        tracker._wandb.log({name: tracker._wandb.Image(str(file))})
