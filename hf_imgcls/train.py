"""The story of a run, top to bottom.

accelerate launch hf_imgcls/train.py recipes/digits_resnet.json training.learning_rate=1e-3
"""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hf_imgcls import parity, runs
from hf_imgcls.advice import advise_run
from hf_imgcls.arguments import training_arguments
from hf_imgcls.bad_images import write_bad_images
from hf_imgcls.breakdown import break_down
from hf_imgcls.card.write import write_card
from hf_imgcls.data import load_data
from hf_imgcls.figures import draw_results, draw_training_pictures
from hf_imgcls.machine import chosen_settings, describe_machine, detect_machine
from hf_imgcls.models import build_model
from hf_imgcls.models.layout import channels_last
from hf_imgcls.processes import check_launch, on_main, prepare_launch, say, silence_other_processes
from hf_imgcls.processors import input_size
from hf_imgcls.push import check_push, push_trained
from hf_imgcls.recipe import as_run, load_recipe
from hf_imgcls.report import collect_results, describe_data, describe_scores, describe_time, summarize_time
from hf_imgcls.score import check_serving, score_splits
from hf_imgcls.stages import plan_stages, train_stages
from hf_imgcls.transforms import EvalTransform


def train_classifier(
    source: str | Path | dict, overrides: Iterable[str] = (), start_over: bool = False
) -> dict[str, Any]:
    """Train, save, score and check the classifier that a recipe describes.

    Args:
        source: a recipe file, or its content.
        overrides: `section.key=value`.
        start_over: move a finished or changed run in the same folder aside and begin anew.

    Returns:
        The content of results.json.

    Raises:
        InputError: the recipe, the data, the model or the machine is not as it must be.
        ParityError: the saved model does not answer as it was scored.
        PushError: the run is complete, but not on the Hub; says what puts it there.
    """
    begun = time.perf_counter()
    recipe = load_recipe(source, overrides)
    prepare_launch()
    arguments = training_arguments(recipe.training)
    folder = Path(arguments.output_dir)
    runs.check_run_folder(folder, start_over)
    launch_note = check_launch()
    silence_other_processes()
    check_push(arguments)

    with arguments.main_process_first(local=True):
        data = load_data(recipe.data)
    for line in describe_data(data, launch_note):
        say(line)
    model, processor = build_model(recipe.model, data.labels, arguments.seed)
    scoring = EvalTransform(processor, [model.config.label2id[name] for name in data.labels])
    plans = plan_stages(recipe, data, model, scoring)
    laid_out = channels_last(model, input_size(processor), recipe.model.channels_last)
    machine = detect_machine(arguments.device.type == "cpu")
    works_with = chosen_settings(machine, plans[0].arguments, laid_out)
    say(describe_machine(works_with))

    on_main(lambda: runs.open_run(folder, as_run(recipe), runs.describe_splits(data), start_over))
    on_main(lambda: write_bad_images(data.bad, folder / runs.BAD_IMAGES))
    on_main(lambda: draw_training_pictures(folder, data, plans))
    trainer, stages = train_stages(plans, data, model, scoring, recipe.data.bad_images)
    trainer.save_run(folder)
    held_out = {split: rows for split, rows in data.splits.items() if split != "train"}
    scores, outputs = score_splits(trainer, held_out, scoring)
    verdict = on_main(lambda: check_serving(folder, data, outputs, trainer))

    results = collect_results(data, trainer, stages, scores, verdict, arguments.seed)
    results["breakdown"] = break_down(outputs, scores, results["labels"])
    results["machine"] = works_with
    results["time"] = summarize_time(stages, time.perf_counter() - begun, trainer.clock.scoring)
    results["time"]["advice"] = advise_run(plans, stages, data, machine, laid_out)
    on_main(lambda: draw_results(folder, stages, outputs, results["labels"]))
    on_main(lambda: finish(folder, recipe, results, stages))
    for line in [*describe_scores(scores), *describe_time(results["time"])]:
        say(line)
    if verdict:
        say(parity.describe_parity(verdict))
        if not verdict["passed"]:
            raise parity.ParityError(parity.describe_parity(verdict))
    say(f"saved in {folder}")
    push_trained(folder, arguments, data)
    return results


def finish(folder: Path, recipe, results: dict[str, Any], stages: list[dict]) -> None:
    """Write what a finished run leaves behind; results.json last, since it marks the run as finished."""
    history = [entry for stage in stages for entry in stage["history"]]
    runs.write_json(folder / runs.HISTORY, history)
    write_card(folder, recipe, results)
    runs.write_json(folder / runs.RESULTS, results)


if __name__ == "__main__":
    from hf_imgcls.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
