"""A run from its beginning to what it leaves behind, whether one network was trained or several."""

import time
from pathlib import Path
from typing import Any, NamedTuple

from transformers import TrainingArguments

from hf_imgcls import reports
from hf_imgcls.api.finished import finish, tell_results
from hf_imgcls.api.rejection import set_rejection
from hf_imgcls.data import BadImage, Data, find_replaced, save_digests
from hf_imgcls.images import EvalTransform
from hf_imgcls.machine import on_main, say
from hf_imgcls.models import keep_thresholds, load_network, thresholds_by_label
from hf_imgcls.publishing import push_trained
from hf_imgcls.recipe import as_run
from hf_imgcls.scoring import break_down
from hf_imgcls.serving import check_serving
from hf_imgcls.store import (
    BAD_IMAGES,
    DIGESTS,
    Beginning,
    Lock,
    describe_weights,
    open_run,
    resumed_with,
    write_csv,
)
from hf_imgcls.training import NO_CUSTOM, Custom, ImageTrainer, ScoredRun, send_results
from hf_imgcls.words import listed

# Plots that trackers get; the others show training images, which do not leave the machine.
_SENT = ("curves.png", "confusion_matrix.png", "labels.png")


class Settings(NamedTuple):
    """How a run is begun, beside its recipe."""

    start_over: bool = False
    resume_anyway: bool = False
    custom: Custom = NO_CUSTOM


class Run(NamedTuple):
    """A run whose folder is locked and whose data are loaded; `begun` and `at` are when, by two clocks, in seconds."""

    recipe: Any
    folder: Path
    arguments: TrainingArguments
    data: Data
    how: Settings
    lock: Lock
    begun: float
    at: float

    def open(self, settings: dict[str, Any], last_digits: dict[str, Any]) -> None:
        """Begin the run, or resume what is in its folder, where it was begun with the same settings."""
        now = Beginning(as_run(self.recipe), self.data.describe_splits(), settings, last_digits)
        start_over, resume_anyway, _ = self.how
        for line in on_main(lambda: open_run(self.folder, now, start_over, resume_anyway, self.lock)):
            say(f"resumed: {line}")
        digests = self.data.digests
        on_main(lambda: save_digests(self.folder / DIGESTS, digests) if digests else None)
        on_main(lambda: write_csv(self.folder / BAD_IMAGES, BadImage._fields, self.data.bad))


class Trained(NamedTuple):
    """What a run has trained, saved and scored.

    Attributes:
        stages: a record of each.
        works_with: settings of the machine.
        advice: what would make the run faster.
        earlier_seconds: of the run, before it was resumed.
        temperature: by which the saved logits are divided, and what it changes.
    """

    trainer: ImageTrainer
    stages: list[dict]
    scoring: EvalTransform
    scored: ScoredRun
    works_with: dict[str, Any]
    advice: str | None
    earlier_seconds: float
    temperature: dict[str, Any] | None = None


def _scored_network(run: Run, trained: Trained) -> tuple[Any, Any]:
    """The network and its image processor, in this process alone: parts of one that is sharded are elsewhere."""
    trainer = trained.trainer
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        return load_network(str(run.folder))
    return trainer.model, trained.scoring.processor


def conclude_run(run: Run, trained: Trained) -> dict[str, Any]:
    """Check what was saved, write results, plots and card, print them, push; returns the content of results.json."""
    folder, data, trainer, stages = run.folder, run.data, trained.trainer, trained.stages
    scores, outputs, predicted = trained.scored
    labels = [trainer.model.config.id2label[i] for i in range(len(data.labels))]
    trainer.check_predictions(predicted, stages[-1]["steps"])
    on_main(lambda: keep_thresholds(folder, trainer.model.config))
    verdict = on_main(lambda: check_serving(folder, data, predicted, labels, trainer.args))

    results = reports.collect_results(data, trainer, stages, scores, verdict, run.arguments.seed)
    results["notes"] = [*results["notes"], *run.how.custom.notes(), *on_main(lambda: resumed_with(folder))]
    replaced = on_main(lambda: find_replaced(data, run.at))
    for split, names in replaced.items():
        say(f"data: {split}: other bytes than when they were checked: {listed(names)}")
    results["breakdown"] = break_down(outputs, scores, results["labels"])
    results["duplicates"] = reports.collect_duplicates(data, outputs)
    if trained.temperature:
        results["temperature"] = trained.temperature
    results["groups"] = reports.collect_groups(data, outputs)
    if rejection := on_main(lambda: set_rejection(run.recipe, folder, outputs, data, trainer.args.device)):
        results["rejection"] = rejection
    if data.multi_label:
        results |= {"multi_label": True, "thresholds": thresholds_by_label(trainer.model.config)}
    results["cautions"] = reports.collect_cautions(results, replaced)
    results["machine"] = trained.works_with
    whole = time.perf_counter() - run.begun + trained.earlier_seconds
    results["time"] = reports.summarize_time(stages, whole, trainer.clock.scoring)
    results["time"]["advice"] = trained.advice
    on_main(lambda: reports.draw_results(folder, stages, outputs, results["labels"]))
    drawn = {each.stem: each for each in (folder / "plots" / name for name in _SENT) if each.is_file()}
    on_main(lambda: send_results(trainer, scores, stages[-1]["steps"] if stages else 0, drawn))
    shown = (data.splits, stages, data.labels, lambda: _scored_network(run, trained))
    subject = reports.Subject(folder.resolve().name, results, outputs, *shown)
    on_main(lambda: reports.write_report(folder, subject))
    results |= on_main(lambda: describe_weights(folder))
    on_main(lambda: finish(folder, run.recipe, results, stages))
    tell_results(folder, results)
    push_trained(folder, run.arguments, data)
    return results
