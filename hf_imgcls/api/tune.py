"""A search: trials of a recipe with other values, each trained as any run, compared on validation."""

import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from hf_imgcls import machine, reports
from hf_imgcls.api.network import open_network
from hf_imgcls.api.search_space import build_extremes, check_corners, check_effects, describe_values, own_values
from hf_imgcls.api.trial import Stopped, train_trial
from hf_imgcls.data import Data, load_data
from hf_imgcls.errors import DivergenceError, InputError, Interrupted
from hf_imgcls.machine import say
from hf_imgcls.recipe import RangeSection, Space, as_overrides, as_run, check_outside, check_space, load_recipe
from hf_imgcls.scoring import metrics_in
from hf_imgcls.store import cache_in_use, is_launched, open_search, try_place, write_csv, write_json
from hf_imgcls.training import metric_key
from hf_imgcls.words import plural

BEST, TRIALS = "best.json", "trials.csv"


class TuneOptions(NamedTuple):
    """How a search goes on: to how many trials in total; minutes after which none is begun, None for no limit; its
    folder, None for `<training.output_dir>-tune`.
    """

    trials: int = 20
    minutes: float | None = None
    output: Path | None = None


_USUAL = TuneOptions()


class _Search(NamedTuple):
    """A search whose folder is there: the recipe without its ranges, the images, and the name of what is compared."""

    content: dict[str, Any]
    space: Space
    data: Data
    folder: Path
    study: Any
    metric: str


@cache_in_use()
def tune_recipe(source: str | Path | dict, overrides: Iterable[str] = (), how: TuneOptions = _USUAL) -> dict[str, Any]:
    """Search the values of a recipe's section `tune` by trials that are compared on validation; test is not scored.

    The same call goes on with a search in its folder; several processes may work on one.

    Returns:
        `trial`, `value` and `values` of the best trial, whose recipe is best.json in the folder; `trials`: how many
        are complete, stopped, failed or running.

    Raises:
        InputError: the recipe, its ranges or the data are not as they must be; no trial is complete.
    """
    try:
        from hf_imgcls.api.study import Study
    except ImportError:
        raise InputError('tune: optuna is not installed; pip install "hf-imgcls[tune]"') from None
    recipe = load_recipe(source, overrides)
    _check(recipe, how)
    content = {key: value for key, value in as_run(recipe).items() if key not in ("tune", "$schema")}
    check_corners(content, recipe.tune)
    check_effects(content, recipe.tune)
    folder = how.output or Path(f"{recipe.training.output_dir.rstrip('/')}-tune")
    check_outside(folder, recipe.data.path)
    try_place(folder, "--output")
    data = load_data(recipe.data)
    for line in reports.describe_data(data, None, bad_in=None):
        say(line)
    if "validation" not in data.splits:
        raise InputError("tune: there is no validation split to compare trials on (data.validation_fraction)")
    network = open_network(recipe, data)
    last = network.plans[-1]
    if last.arguments.eval_strategy == "no" and not last.stage.logistic_regression:
        raise InputError("training.eval_strategy: tune compares trials on validation, but nothing is evaluated")
    build_extremes(content, recipe.tune, data)
    say(machine.describe_machine(network.works_with))
    splits = data.describe_splits()["fingerprints"]
    open_search(folder, {"recipe": content, "tune": as_run(recipe)["tune"], "fingerprints": splits})
    study = Study(folder, recipe.tune, recipe.training.seed, bool(last.arguments.greater_is_better))
    metric = metric_key(last.arguments).removeprefix("eval_")
    search = _Search(content, recipe.tune, data, folder, study, metrics_in({metric: 0.0})[metric].name)
    if there := len(study.rows()):
        say(f"tune: {plural(there, 'trial')} of {folder} are there already; goes on to {how.trials} in total")
    else:
        own, line = own_values(recipe, recipe.tune)
        say(line)
        if own:
            study.begin_with(own)
    _try_all(search, how)
    return _conclude(search, how)


def _check(recipe, how: TuneOptions) -> None:
    if how.trials < 1:
        raise InputError(f"--trials: found {how.trials}, expected 1 or more")
    if how.minutes is not None and not how.minutes > 0:
        raise InputError(f"--minutes: found {how.minutes:g}, expected more than 0")
    check_space(recipe.tune)
    if recipe.data.folds:
        raise InputError("data.folds: tune compares trials on one validation split; data.folds=null leaves them out")
    if recipe.ensemble.networks:
        raise InputError("ensemble: tune searches one network; ensemble.networks=[] leaves the others out")
    machine.prepare_launch()
    if is_launched():
        raise InputError(
            "tune: each trial is one process; to use several GPUs, start the command once for each, with "
            "CUDA_VISIBLE_DEVICES=0, 1, ...: they share the trials"
        )


def _try_all(search: _Search, how: TuneOptions) -> None:
    begun = time.monotonic()
    while begun_trial := search.study.begin(how.trials):
        _try_one(search, *begun_trial)
        _keep(search)
        took = [row.seconds for row in search.study.rows() if row.seconds]
        if how.minutes and time.monotonic() - begun + sum(took) / len(took) > 60 * how.minutes:
            say(f"tune: another trial would end after --minutes {how.minutes:g}; the same command goes on")
            return
    if search.study.untried() == []:
        say("tune: all combinations of the values are tried")


def _try_one(search: _Search, trial, values: Mapping[str, Any]) -> None:
    number, study, begun = trial.number + 1, search.study, time.monotonic()
    place, value, why = study.place_of(trial.number), None, ""
    say(f"trial {number}: {describe_values(values)}")

    def report(step: int, value: float) -> bool:
        trial.report(value, step)
        return trial.should_prune()

    try:
        value = train_trial(search.content, as_overrides(values), search.data, place, report)
    except Stopped as stopped:
        why = str(stopped)
    except DivergenceError as error:
        why = str(error).partition(";")[0]
    except torch.OutOfMemoryError:
        why = "the memory of the GPU does not suffice"
    except InputError as error:
        raise InputError(f"tune: trial {number} ({describe_values(values)[:120]}): {error}") from None
    except Interrupted as error:
        raise Interrupted(error.number, f"interrupted in trial {number}, which begins anew") from None
    finally:
        shutil.rmtree(place, ignore_errors=True)
        if value is None and not why:
            study.give_up()
    study.end(trial, time.monotonic() - begun, value, why)
    best = reports.best_trial(study.rows(), study.maximize)
    so_far = f"; best so far {best.value:.4f}, trial {best.number}" if best else ""
    say(f"trial {number}: {why or f'validation {search.metric} {value:.4f}'}{so_far}")


def _keep(search: _Search) -> None:
    """Write table, plot and best recipe, as far as the search is."""
    rows, keys, folder = search.study.rows(), list(search.space), search.folder
    heading = ["trial", "state", search.metric, "evaluations", *keys, "seconds", "why"]
    best = reports.best_trial(rows, search.study.maximize)
    with search.study.locked():  # by another process too
        write_csv(folder / TRIALS, heading, reports.trial_cells(rows, keys))
        if best:
            write_json(folder / BEST, as_run(load_recipe(search.content, as_overrides(best.values))))
            logarithmic = [key for key, v in search.space.items() if isinstance(v, RangeSection) and v.log]
            reports.draw_trials(folder, rows, (search.metric, best), keys, logarithmic)


def _conclude(search: _Search, how: TuneOptions) -> dict[str, Any]:
    rows = search.study.rows()
    best = reports.best_trial(rows, search.study.maximize)
    for line in reports.trial_table(rows, search.metric, best):
        say(line)
    if best is None:
        raise InputError(f"tune: none of {plural(len(rows), 'trial')} is complete ({search.folder / TRIALS} says why)")
    _keep(search)
    complete = sum(row.value is not None for row in rows)
    say(
        f"tune: best of {complete} complete trials: trial {best.number}, validation {search.metric} {best.value:.4f}; "
        "chosen on validation, so optimistic by that; test was not scored"
    )
    say(f"saved in {search.folder}; hf-imgcls train {search.folder / BEST} trains the best")
    counts = {state: sum(row.state == state for row in rows) for state in ("complete", "stopped", "failed", "running")}
    return {"trial": best.number, "value": best.value, "values": best.values, "trials": counts}
