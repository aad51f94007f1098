"""Callbacks of the trainer: which epoch its images are of, when to stop early, what is printed while it trains."""

from collections.abc import Mapping

from tqdm.auto import tqdm
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import has_length

from hf_imgcls.images import TrainTransform
from hf_imgcls.machine import say
from hf_imgcls.scoring import metrics_in
from hf_imgcls.training.timing import Clock


class EpochCallback(TrainerCallback):
    """Sets the epoch of the training transform: augmentation is drawn from it."""

    def __init__(self, images: TrainTransform):
        self.images = images
        self.epoch = 0

    def on_train_begin(self, args, state, control, train_dataloader=None, **kwargs):
        # Resumed in mid-epoch, state.epoch is 1.4: the images are those of epoch 1. A finished epoch is a whole
        # number but for rounding. A stream always begins anew and skips.
        self.epoch = int((state.epoch or 0) + 1e-6) if has_length(train_dataloader) else 0

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.images.epoch.fill_(self.epoch)
        self.epoch += 1


class StopEarly(EarlyStoppingCallback):
    """Early stopping whose count a resumed run continues."""

    def on_train_begin(self, args, state, control, **kwargs):
        super().on_train_begin(args, state, control, **kwargs)
        self.early_stopping_patience_counter = bad_evaluations(state.stateful_callbacks)


def bad_evaluations(saved: dict) -> int:
    """How many evaluations in a row brought no improvement, from a checkpoint's `stateful_callbacks`."""
    return saved.get(StopEarly.__name__, {}).get("attributes", {}).get("early_stopping_patience_counter", 0)


class _Bar(ProgressCallback):
    """Trainer's progress bar, without the dictionaries that it prints."""

    def on_log(self, args, state, control, **kwargs):
        pass


class EpochTable(TrainerCallback):
    """Prints a row for each evaluation, or for each epoch where nothing is evaluated, and which checkpoint is selected.

    The training loss is the mean over the steps since the row before; `*` marks the best row so far.
    """

    def __init__(self, clock: Clock):
        self.clock = clock
        self.heading: list[str] = []
        self.last_step = 0
        self.counted = (0, 0.0)
        self.pending = False

    def on_train_begin(self, args, state, control, **kwargs):
        evaluations = [entry["step"] for entry in state.log_history if "eval_loss" in entry]
        self.heading, self.pending = [], False
        self.last_step = evaluations[-1] if evaluations else state.global_step
        self.counted = self._count(args)

    def on_step_end(self, args, state, control, **kwargs):
        self._log_before_a_row(args, control, control.should_evaluate)

    def on_epoch_end(self, args, state, control, **kwargs):
        self._log_before_a_row(args, control, True)
        self.pending = args.eval_strategy == "no"  # what is logged of this epoch is logged after this event

    def _log_before_a_row(self, args, control, wanted: bool) -> None:
        control.should_log = control.should_log or (wanted and args.logging_strategy != "no")

    def on_epoch_begin(self, args, state, control, **kwargs):
        if self.pending:
            self._print_row(args, state, {})

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        self._print_row(args, state, metrics)

    def on_train_end(self, args, state, control, **kwargs):
        self.on_epoch_begin(args, state, control)
        _print(describe_selected(args, state))

    def _print_row(self, args: TrainingArguments, state: TrainerState, metrics: Mapping[str, float]) -> None:
        loss, rate = _logged_since(state, self.last_step)
        images, seconds = (now - before for now, before in zip(self._count(args), self.counted, strict=True))
        row = {
            "step" if args.max_steps > 0 else "epoch": _position(args, state.global_step, state.epoch),
            "loss": f"{loss:.4f}" if loss is not None else "-",
        }
        evaluated = metrics_in(metrics, "eval_")
        for key in sorted(evaluated, key=lambda key: key != "loss"):  # beside the training loss
            name = "validation loss" if key == "loss" else evaluated[key].name
            row[name] = f"{metrics[f'eval_{key}']:{evaluated[key].format}}"
        row["learning rate"] = f"{rate:.2e}" if rate is not None else "-"
        row["images/s"] = f"{images / seconds:,.0f}" if seconds > 0 else "-"
        if not self.heading:
            self.heading = list(row)
            _print("".join(f"{name:>{_width(name)}}" for name in row))
        mark = " *" if is_best(args, state) else ""
        _print("".join(f"{row.get(name, '-'):>{_width(name)}}" for name in self.heading) + mark)
        self.pending = False
        self.last_step, self.counted = state.global_step, self._count(args)

    def _count(self, args: TrainingArguments) -> tuple[int, float]:
        """Images trained on so far, and the seconds that it took."""
        counted = self.clock.totals(args.world_size)
        return counted["images"], counted["data"] + counted["transfer"] + counted["model"]


def replace_console(trainer: Trainer, clock: Clock) -> None:
    """Print a table in place of Trainer's dictionaries. To be called behind the clock, which is read for each row."""
    trainer.remove_callback(PrinterCallback)
    if trainer.pop_callback(ProgressCallback):
        trainer.add_callback(_Bar())
    trainer.add_callback(EpochTable(clock))


def is_best(args: TrainingArguments, state: TrainerState) -> bool:
    """Whether the last entry of the log is the best evaluation so far, as Trainer compares them: ties are not."""
    key = f"eval_{_metric(args)}"
    best, best_step = None, 0
    for entry in state.log_history:
        if key in entry and entry["step"]:
            better = best is None or (entry[key] > best if args.greater_is_better else entry[key] < best)
            best, best_step = (entry[key], entry["step"]) if better else (best, best_step)
    return best is not None and best_step == state.global_step


def describe_selected(args: TrainingArguments, state: TrainerState) -> str:
    """Which checkpoint a training ends with, in a line."""
    unit = "step" if args.max_steps > 0 else "epoch"
    last = state.max_steps if args.max_steps > 0 else state.num_train_epochs
    step, metric = state.best_global_step, _metric(args)
    if not (args.load_best_model_at_end and state.best_model_checkpoint):
        return f"selected checkpoint: the last, {unit} {_position(args, state.global_step, state.epoch)} of {last}"
    entry = next(e for e in state.log_history if e["step"] == step and f"eval_{metric}" in e)
    named = metrics_in({metric: state.best_metric})[metric]
    value = f"best validation {named.name} {state.best_metric:{named.format}}"
    return f"selected checkpoint: {unit} {_position(args, step, entry['epoch'])} of {last}, {value}"


def _metric(args: TrainingArguments) -> str:
    return (args.metric_for_best_model or "loss").removeprefix("eval_")


def _position(args: TrainingArguments, step: int, epoch: float | None) -> str:
    return str(step) if args.max_steps > 0 else f"{round(epoch or 0, 2):g}"


def _logged_since(state: TrainerState, step: int) -> tuple[float | None, float | None]:
    """The mean training loss since a step, and the last learning rate; None where nothing was logged."""
    total, last, rate = 0.0, step, None
    for entry in state.log_history:
        if "loss" not in entry:
            continue
        rate = entry.get("learning_rate")
        if entry["step"] > last:  # each entry is the mean over the steps since the one before
            total += entry["loss"] * (entry["step"] - last)
            last = entry["step"]
    return total / (last - step) if last > step else None, rate


def _width(name: str) -> int:
    return max(len(name), 7) + 2


def _print(line: str) -> None:
    with tqdm.external_write_mode():  # above a progress bar, where there is one
        say(line)
