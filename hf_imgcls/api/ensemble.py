"""The networks of an ensemble, each a run of its own, and the mean of their probabilities as one model."""

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hf_imgcls.api.calibrate import calibrate
from hf_imgcls.api.run import Run, Settings, Trained
from hf_imgcls.data import Data
from hf_imgcls.errors import InputError
from hf_imgcls.images import EvalTransform, input_size
from hf_imgcls.machine import on_main, say
from hf_imgcls.models import assemble_ensemble, channels_last, load_network
from hf_imgcls.recipe import naming_network, networks_of
from hf_imgcls.store import HISTORY, Lock, read_kept
from hf_imgcls.training import ImageTrainer, score_saved, score_splits, scoring_trainer

TrainRecipe = Callable[[Any, Settings, Lock, Data], dict[str, Any]]


def train_ensemble(run: Run, train: TrainRecipe) -> Trained:
    """Train each network of a run's recipe, and save what is best on validation: their mean, or one of them alone.

    Args:
        train: trains the recipe of one network; a network that is finished is answered with its results.
    """
    if "validation" not in run.data.splits and not run.recipe.ensemble.average:
        raise InputError("ensemble.average: false needs a validation split, on which the best network is chosen")
    run.open({}, {})
    networks = networks_of(run.recipe)
    results, earlier = [], 0.0
    for number, recipe in enumerate(networks, 1):
        say(f"network {number} of {len(networks)}: {recipe.model.checkpoint or recipe.model.architecture}")
        begun = time.perf_counter()
        with naming_network(recipe, run.recipe), Lock() as lock:
            results.append(train(recipe, run.how._replace(start_over=False), lock, run.data))
        earlier += max(0.0, results[-1]["time"]["run"] - (time.perf_counter() - begun))
    folders = [Path(recipe.training.output_dir) for recipe in networks]
    scores = [each["scores"] for each in results]
    chosen, known = _best_alone(scores), ({}, {})
    if run.recipe.ensemble.average:
        trainer, scoring = _opened(run, *assemble_ensemble(folders, run.data.labels, shared=0))
        known = _validated(run, trainer, scoring)
        chosen = _unless_better(known[0], scores, chosen)
    if chosen is not None:
        say(f"ensemble: network {chosen + 1} alone is saved")
        trainer, scoring = _opened(run, *load_network(str(folders[chosen])))
        known = ({}, {})
    trainer.save_run(run.folder)
    scored = score_saved(trainer, run.data, scoring, known)
    scored, temperature = calibrate(run, trainer, scored, scoring)
    stages = _records(folders, results)
    for stage in stages:
        stage["saved"] = chosen is None or stage["network"] == chosen + 1
    return Trained(trainer, stages, scoring, scored, results[0]["machine"], None, earlier, temperature)


def _opened(run: Run, model, processor) -> tuple[ImageTrainer, EvalTransform]:
    """What scores a model."""
    channels_last(model, input_size(processor))
    trainer = scoring_trainer(model, run.arguments, processor, run.how.custom)
    return trainer, EvalTransform(processor, [model.config.label2id[name] for name in run.data.labels])


def _validated(run: Run, trainer: ImageTrainer, scoring: EvalTransform) -> tuple[dict, dict]:
    """Scores and the scored split of validation alone, where there is one: what is chosen has not seen test."""
    held_out = {split: rows for split, rows in run.data.splits.items() if split == "validation"}
    return score_splits(trainer, held_out, scoring)


def _best_alone(scores: Sequence[dict]) -> int | None:
    """Number of the network with the lowest validation loss, from 0; None where there is no validation split."""
    losses = [each["validation"]["loss"] for each in scores if "validation" in each]
    return losses.index(min(losses)) if losses else None


def _unless_better(together: dict, alone: Sequence[dict], best: int | None) -> int | None:
    """None where the mean of the networks is to be saved, else the number of the one that is better alone."""
    if best is None:
        say(f"ensemble: there is no validation split to compare on; the mean of {len(alone)} networks is saved")
        return None
    losses = [scores["validation"]["loss"] for scores in alone]
    mean = together["validation"]["loss"]
    shown = ", ".join(f"network {number} {loss:.4f}" for number, loss in enumerate(losses, 1))
    better = mean < losses[best]
    words = "the mean of their probabilities is saved" if better else "their mean is not better"
    say(f"ensemble: validation loss {mean:.4f} (alone: {shown}): {words}")
    return None if better else best


def _records(folders: Sequence[Path], results: Sequence[dict]) -> list[dict]:
    """The records of all stages, numbered through, each with the number of its network."""
    numbers, found = itertools.count(1), []
    for network, (folder, result) in enumerate(zip(folders, results, strict=True), 1):
        history = on_main(lambda folder=folder: read_kept(folder / HISTORY))
        for record in result["stages"]:
            own = [entry for entry in history if entry["stage"] == record["stage"]]
            number = next(numbers)
            entries = [{**entry, "stage": number} for entry in own]
            found.append({**record, "stage": number, "network": network, "history": entries})
    return found
