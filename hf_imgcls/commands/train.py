"""train, score, save and check the classifier of a recipe"""

import argparse
from pathlib import Path

from hf_imgcls.errors import InputError


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, help="a JSON file; hf-imgcls recipes lists examples")
    parser.add_argument(
        "overrides", nargs="*", default=(), metavar="section.key=value", help="training.learning_rate=1e-4 ..."
    )
    parser.add_argument("--seeds", nargs="+", default=(), metavar="N", help="a run for each; mean and deviation")
    parser.add_argument("--start-over", action="store_true", help="move the run in output_dir aside, start a new one")
    parser.add_argument(
        "--resume-anyway",
        action="store_true",
        help="resume although the number of processes, the device or the precision changes the result",
    )


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.recipe import check_seeds, check_settings, load_recipe

    # argparse takes overrides behind the seeds for seeds too.
    overrides = [*options.overrides, *(word for word in options.seeds if "=" in word)]
    seeds = [_seed(word) for word in options.seeds if "=" not in word]
    if options.seeds != () and not seeds:
        raise InputError("--seeds: which? name them: --seeds 1 2 3")
    # Before the API imports torch: a misspelt key is reported within a second.
    recipe = load_recipe(options.recipe, overrides)
    check_settings(recipe)
    if seeds:
        check_seeds(recipe, seeds, overrides)
    from hf_imgcls.api import train_classifier

    train_classifier(options.recipe, overrides, options.start_over, resume_anyway=options.resume_anyway, seeds=seeds)


def _seed(word: str) -> int:
    if not word.isascii() or not word.isdigit():
        raise InputError(f"--seeds: found {word!r}, expected whole numbers of at least 0: --seeds 1 2 3")
    return int(word[:20])
