"""Several runs of one recipe in one folder, each as any other: the folds of a cross-validation, several seeds."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hf_imgcls import machine
from hf_imgcls.machine import on_main, say
from hf_imgcls.recipe import as_run, one_of
from hf_imgcls.store import Lock, open_several

TrainOne = Callable[[Any], dict[str, Any]]  # of the recipe of one run, its results


def train_each(
    recipe, unit: str, numbers: Sequence[int], train: TrainOne, opening: tuple[bool, Lock]
) -> tuple[Path, list[dict[str, Any]]]:
    """Train each run in a folder of its own, `fold-1`, ... or `seed-1`, ...; those that are finished are answered.

    Args:
        unit: `fold` or `seed`.
        opening: whether to move what is there aside; the lock of the folder.

    Returns:
        The folder, and the results of each.

    Raises:
        InputError, ParityError: as `train` does; the folder holds something else.
    """
    machine.prepare_launch()
    folder = Path(machine.training_arguments(recipe.training).output_dir)
    start_over, lock = opening
    on_main(lambda: open_several(folder, unit, as_run(recipe), start_over, lock))
    results = []
    for place, number in enumerate(numbers, 1):
        of = f" of {len(numbers)}" if unit == "fold" else f" ({place} of {len(numbers)})"
        say(f"{unit} {number}{of}: {folder / f'{unit}-{number}'}")
        results.append(train(one_of(recipe, unit, number, folder)))
    return folder, results
