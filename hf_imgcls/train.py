"""The story of a run, top to bottom.

accelerate launch hf_imgcls/train.py recipes/digits_resnet.json training.learning_rate=1e-3
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from transformers import DefaultDataCollator

from hf_imgcls import hub, parity, runs
from hf_imgcls.arguments import training_arguments, without_evaluation
from hf_imgcls.bad_images import write_report
from hf_imgcls.card import write_card
from hf_imgcls.data import Data, load_data
from hf_imgcls.models import build_model
from hf_imgcls.processes import check_launch, on_main, prepare_launch, say, tell_others_to_be_quiet
from hf_imgcls.recipe import as_run, load_recipe
from hf_imgcls.report import collect_results, describe_data, describe_scores
from hf_imgcls.score import attach, check_serving, score_splits
from hf_imgcls.trainer import ImageTrainer
from hf_imgcls.transforms import EvalPictures, TrainPictures


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
    """
    recipe = load_recipe(source, overrides)
    prepare_launch()
    arguments = training_arguments(recipe)
    folder = Path(arguments.output_dir)
    runs.look_at(folder, start_over)
    launch_note = check_launch()
    tell_others_to_be_quiet()
    hub.check_login(arguments)
    arguments.push_to_hub = False  # the run is pushed below, once and complete, not in parts while it trains

    with arguments.main_process_first(local=True):
        data = load_data(recipe.data)
    if "validation" not in data.splits:
        without_evaluation(arguments, recipe)
    for line in describe_data(data, launch_note):
        say(line)
    model, processor = build_model(recipe.model, data.labels, arguments.seed)
    scoring = EvalPictures(processor, [model.config.label2id[name] for name in data.labels])
    trainer = get_trainer(recipe, arguments, data, model, scoring)

    run = on_main(lambda: runs.open_run(folder, as_run(recipe), runs.describe_splits(data), start_over))
    on_main(lambda: write_report(data.bad, folder / runs.BAD_IMAGES))
    if run.checkpoint:
        say(f"resuming from {run.checkpoint}")
    outcome = trainer.train(resume_from_checkpoint=str(run.checkpoint) if run.checkpoint else None)
    trainer.save_run(folder)
    held_out = {split: rows for split, rows in data.splits.items() if split != "train"}
    scores, logits = score_splits(trainer, held_out, scoring)
    verdict = on_main(lambda: check_serving(folder, data, logits, trainer))

    results = collect_results(recipe, data, trainer, outcome, scores, verdict)
    on_main(lambda: finish(folder, recipe, results, trainer.state.log_history))
    for line in describe_scores(scores):
        say(line)
    if verdict:
        say(parity.describe(verdict))
        if not verdict["passed"]:
            raise parity.ParityError(parity.describe(verdict))
    say(f"saved in {folder}")
    if recipe.training.push_to_hub:
        say(f"pushed: {on_main(lambda: hub.push(folder, arguments))}")
    return results


def get_trainer(recipe, arguments, data: Data, model, scoring: EvalPictures) -> ImageTrainer:
    """The trainer of a run, with the transforms attached to its splits."""
    pictures = TrainPictures(recipe.augmentation.train, scoring.processor, scoring.label_ids, arguments.seed)
    bad_images = recipe.data.bad_images
    validation = data.splits.get("validation")
    return ImageTrainer(
        model,
        arguments,
        data_collator=DefaultDataCollator(),
        train_dataset=attach(data.splits["train"], pictures, bad_images),
        eval_dataset=attach(validation, scoring, bad_images) if validation is not None else None,
        processing_class=scoring.processor,
        pictures=pictures,
    )


def finish(folder: Path, recipe, results: dict[str, Any], history: list[dict]) -> None:
    """Write what a finished run leaves behind; results.json last, since it marks the run as finished."""
    runs.write_json(folder / runs.HISTORY, history)
    write_card(folder, recipe, results)
    runs.write_json(folder / runs.RESULTS, results)


if __name__ == "__main__":
    from hf_imgcls.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
