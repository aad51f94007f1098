"""A study of optuna on disk, which several processes share: trials that are begun, ended, and repeated."""

import itertools
import math
import random
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from hf_imgcls.machine import say
from hf_imgcls.recipe import RangeSection, Space
from hf_imgcls.reports import TrialRow
from hf_imgcls.store import LOCK, Lock
from hf_imgcls.words import as_json

STUDY = "study.db"
_NAME = "tune"
_FEW = 100  # combinations of values up to which none is tried twice
_WAIT = 60  # seconds for the database, which another process writes
_STATES = {"COMPLETE": "complete", "PRUNED": "stopped", "FAIL": "failed", "RUNNING": "running"}
_REPEATS, _WHY, _SECONDS = "repeats", "why", "seconds"


class Study:
    """The trials of a search, in a folder; a lock in it is held where trials are begun and counted.

    Args:
        seed: of the sampler; each trial's draw follows from it, the trial's number and what is known by then, so that a
            search that is interrupted draws as one that is not.
    """

    def __init__(self, folder: Path, space: Space, seed: int, maximize: bool):
        self.folder, self.space, self.seed, self.maximize = folder, space, seed, maximize
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._running = Lock()
        with self.locked():
            file = folder / STUDY  # by a function: a URL would give some characters of a path a meaning
            storage = optuna.storages.RDBStorage(
                "sqlite://", engine_kwargs={"creator": lambda: sqlite3.connect(file, timeout=_WAIT)}
            )
            self._study = optuna.create_study(
                storage=storage,
                study_name=_NAME,
                direction="maximize" if maximize else "minimize",
                pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
                load_if_exists=True,
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        with Lock() as lock:
            lock.wait_for(self.folder / f"study{LOCK}", "tune")
            yield

    def begin_with(self, values: Mapping[str, Any]) -> None:
        """Let the first trial have these values."""
        with self.locked():
            if not self._study.trials:  # of another process
                self._study.enqueue_trial({key: self._as_parameter(key, value) for key, value in values.items()})

    def begin(self, count: int) -> tuple[Trial, dict[str, Any]] | None:
        """The next trial and its values, where fewer than `count` are done or run; dead ones are failed first."""
        with self.locked():
            self._end_dead()
            trials, untried = self._study.trials, self.untried()
            if sum(map(_counts, trials)) >= count or untried == []:
                return None
            if untried and not any(trial.state == TrialState.WAITING for trial in trials):
                self._study.enqueue_trial(random.Random(self.seed + len(trials)).choice(untried))
            self._study.sampler = optuna.samplers.TPESampler(seed=(self.seed + len(self._study.trials)) % 2**32)
            trial = self._study.ask()
            values = {key: self._draw(trial, key) for key in self.space}
            self._running.take(self._lock_of(trial.number), f"trial {trial.number + 1}", "wait until it has ended")
            return trial, values

    def untried(self) -> list[dict[str, Any]] | None:
        """Parameters that no trial has had, of a space of few listed values and whole numbers; None of another one.

        Of these a sampler would draw the same again.
        """
        values = {key: _listed(limits) for key, limits in self.space.items()}
        if None in values.values() or math.prod(map(len, values.values())) > _FEW:
            return None
        tried = [trial.params for trial in self._study.trials if _counts(trial)]
        combined = itertools.product(*values.values())
        return [each for row in combined if (each := dict(zip(values, row, strict=True))) not in tried]

    def end(self, trial: Trial, seconds: float, value: float | None = None, why: str = "") -> None:
        """Note the value of a trial; without one it was stopped (`why`)."""
        trial.set_user_attr(_SECONDS, round(seconds, 1))
        if why:
            trial.set_user_attr(_WHY, why)
        with self.locked():
            self._study.tell(trial, value, state=TrialState.PRUNED if value is None else None)
            self._running.release()

    def give_up(self) -> None:
        """Let go of a trial that is interrupted: the next process to begin one fails and repeats it."""
        self._running.release()

    def rows(self) -> list[TrialRow]:
        """All trials that were begun, in their order."""
        return [
            TrialRow(
                number=trial.number + 1,
                state=_STATES[trial.state.name],
                value=trial.value if trial.state == TrialState.COMPLETE else None,
                reported=tuple(trial.intermediate_values.values()),
                values={key: self._as_value(key, trial.params[key]) for key in self.space if key in trial.params},
                seconds=trial.user_attrs.get(_SECONDS),
                why=trial.user_attrs.get(_WHY, ""),
            )
            for trial in self._study.trials
            if trial.state != TrialState.WAITING
        ]

    def _end_dead(self) -> None:
        """Fail the trials whose process has ended, and have them repeated once."""
        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            with Lock() as lock:
                if not lock.try_to_take(self._lock_of(trial.number)):
                    continue
                self._study.tell(trial.number, state=TrialState.FAIL)
                again = _REPEATS not in trial.user_attrs
                if again:
                    self._study.enqueue_trial(trial.params, user_attrs={_REPEATS: trial.number + 1})
                shutil.rmtree(self.place_of(trial.number), ignore_errors=True)
                how = "its values are tried again" if again else "for the second time, so its values are left out"
                say(f"tune: trial {trial.number + 1} failed, since its process has ended; {how}")

    def place_of(self, number: int) -> Path:
        """The folder of a trial while it runs."""
        return self.folder / f"trial-{number + 1}"

    def _lock_of(self, number: int) -> Path:
        return self.folder / f"trial-{number + 1}{LOCK}"

    def _draw(self, trial: Trial, key: str) -> Any:
        limits = self.space[key]
        if not isinstance(limits, RangeSection):
            return self._as_value(key, trial.suggest_categorical(key, [as_json(value) for value in limits]))
        if limits.is_whole:
            return trial.suggest_int(key, limits.low, limits.high, step=limits.step or 1, log=limits.log)
        return trial.suggest_float(key, limits.low, limits.high, step=limits.step, log=limits.log)

    def _as_parameter(self, key: str, value: Any) -> Any:
        return value if isinstance(self.space[key], RangeSection) else as_json(value)

    def _as_value(self, key: str, parameter: Any) -> Any:
        if isinstance(self.space[key], RangeSection):
            return parameter
        return next(value for value in self.space[key] if as_json(value) == parameter)


def _listed(limits: Any) -> list[Any] | None:
    """The parameters of a key, where they are listed or whole numbers."""
    if not isinstance(limits, RangeSection):
        return [as_json(value) for value in limits]
    return [*range(limits.low, limits.high + 1, limits.step or 1)] if limits.is_whole else None


def _counts(trial: FrozenTrial) -> bool:
    """Whether a trial is one of those that were asked for: done, running, or failed twice."""
    done = trial.state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    return done or (trial.state == TrialState.FAIL and _REPEATS in trial.user_attrs)
