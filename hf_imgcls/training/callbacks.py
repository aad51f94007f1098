"""Callbacks of the trainer: the epoch of the augmentation, early stopping, and the table on the console."""

from collections.abc import Mapping

from tqdm.auto import tqdm
from transformers import EarlyStoppingCallback, ProgressCallback, TrainerCallback, TrainerState, TrainingArguments

from hf_imgcls.images import TrainTransform
from hf_imgcls.machine import say
from hf_imgcls.scoring import metrics_in
from hf_imgcls.training.position import StreamPosition
from hf_imgcls.training.timing import Clock


class EpochCallback(TrainerCallback):
    """Sets the epoch of the training transform: augmentation is drawn from it. A stream knows its own: `position`."""

    def __init__(self, images: TrainTransform, position: StreamPosition | None = None):
        self.images, self.position = images, position
        self.epoch = 0

    def on_train_begin(self, args, state, control, **kwargs):
        # Resumed in mid-epoch, state.epoch is 1.4: the images are those of epoch 1. A finished epoch is a whole
        # number but for rounding.
        self.epoch = self.position.epoch if self.position else int((state.epoch or 0) + 1e-6)

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.images.epoch.fill_(self.epoch)
        self.epoch += 1


class StopEarly(EarlyStoppingCallback):
    """Early stopping whose count a resumed run continues."""

    def on_train_begin(self, args, state, control, **kwargs):
        super().on_train_begin(args, state, control, **kwargs)
        vars(self).update(state.stateful_callbacks[type(self).__name__]["attributes"])

    def has_stopped(self) -> bool:
        return self.early_stopping_patience_counter >= self.early_stopping_patience


class QuietBar(ProgressCallback):
    """Trainer's progress bar, without the dictionaries that it prints."""

    def on_log(self, args, state, control, **kwargs):
        pass


class EpochTable(TrainerCallback):
    """Prints a row for each evaluation, or for each epoch where nothing is evaluated, and which checkpoint is selected.

    Training loss, accuracy and learning rate are those last logged; `*` marks the best evaluation so far. `accuracy`
    says whether the training has one.
    """

    def __init__(self, clock: Clock, accuracy: bool = False):
        self.clock, self.accuracy = clock, accuracy
        self.headed, self.begun_at, self.last_step, self.counted = False, 0, 0, clock.totals()

    def on_train_begin(self, args, state, control, **kwargs):
        self.headed, self.begun_at = False, state.global_step
        self.last_step, self.counted = state.global_step, self.clock.totals(args.world_size)

    def state(self) -> dict:
        """What a checkpoint keeps: whether an epoch's end is logged depends on the last row."""
        return {"last_step": self.last_step, "counted": self.counted}

    def restore(self, saved: dict) -> None:
        self.last_step, self.counted = saved["last_step"], saved["counted"]

    def on_epoch_end(self, args, state, control, **kwargs):
        # An epoch shorter than logging_steps would have no loss to show.
        if args.logging_strategy != "no" and _last_logged(state).get("step", 0) <= self.last_step:
            control.should_log = True

    def on_epoch_begin(self, args, state, control, **kwargs):
        # Here and not at the epoch's end, because Trainer logs after that event; but not where an epoch goes on.
        if state.global_step > self.begun_at or state.epoch == int(state.epoch or 0):
            self._print_unevaluated(args, state)

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        self._print_row(args, state, metrics)

    def on_train_end(self, args, state, control, **kwargs):
        self._print_unevaluated(args, state)
        _print(describe_selected(args, state))

    def _print_unevaluated(self, args: TrainingArguments, state: TrainerState) -> None:
        if args.eval_strategy == "no" and state.global_step > self.last_step:
            self._print_row(args, state, {})

    def _print_row(self, args: TrainingArguments, state: TrainerState, metrics: Mapping[str, float]) -> None:
        logged, counted = _last_logged(state), self.clock.totals(args.world_size)
        seconds = sum(counted[part] - self.counted[part] for part in ("data", "transfer", "model"))
        row = {
            "step" if args.max_steps > 0 else "epoch": _position(args, state.global_step, state.epoch),
            "loss": f"{logged['loss']:.4f}" if logged else "-",
        }
        if self.accuracy:
            row["train accuracy"] = f"{logged['train_accuracy']:.4f}" if "train_accuracy" in logged else "-"
        evaluated = metrics_in(metrics, "eval_")
        for key in sorted(evaluated, key=lambda key: key != "loss"):  # beside the training loss
            name = "validation loss" if key == "loss" else evaluated[key].name
            row[name] = f"{metrics[f'eval_{key}']:{evaluated[key].format}}"
        row["learning rate"] = f"{logged['learning_rate']:.2e}" if logged else "-"
        row["images/s"] = f"{(counted['images'] - self.counted['images']) / seconds:,.0f}" if seconds > 0 else "-"
        widths = [max(len(name), 7) + 2 for name in row]
        for line in [row.values()] if self.headed else [row, row.values()]:
            mark = " *" if line is not row and is_best(args, state, metrics) else ""
            _print("".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)) + mark)
        self.headed, self.last_step, self.counted = True, state.global_step, counted


def is_best(args: TrainingArguments, state: TrainerState, metrics: Mapping[str, float]) -> bool:
    """Whether an evaluation is better than those before, which Trainer has compared when `on_evaluate` is called."""
    value, best = metrics.get(f"eval_{_metric(args)}"), state.best_metric
    if value is None or not state.global_step:  # what is evaluated before the first step is not compared
        return False
    return best is None or (value > best if args.greater_is_better else value < best)


def describe_selected(args: TrainingArguments, state: TrainerState) -> str:
    """Which checkpoint a training ends with, in a line."""
    unit, last = ("step", state.max_steps) if args.max_steps > 0 else ("epoch", state.num_train_epochs)
    if not (args.load_best_model_at_end and state.best_model_checkpoint):
        return f"selected checkpoint: the last, {unit} {_position(args, state.global_step, state.epoch)} of {last}"
    step, metric = state.best_global_step, _metric(args)
    epoch = next(entry["epoch"] for entry in state.log_history if entry["step"] == step)
    named = metrics_in({metric: state.best_metric})[metric]
    value = f"best validation {named.name} {state.best_metric:{named.format}}"
    return f"selected checkpoint: {unit} {_position(args, step, epoch)} of {last}, {value}"


def _metric(args: TrainingArguments) -> str:
    return (args.metric_for_best_model or "loss").removeprefix("eval_")


def _position(args: TrainingArguments, step: int, epoch: float | None) -> str:
    return str(step) if args.max_steps > 0 else f"{round(epoch or 0, 2):g}"


def _last_logged(state: TrainerState) -> dict[str, float]:
    return next((entry for entry in reversed(state.log_history) if "loss" in entry), {})


def _print(line: str) -> None:
    with tqdm.external_write_mode():  # above a progress bar, where there is one
        say(line)
