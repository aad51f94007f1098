"""train, score, save and check the classifier of a recipe"""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, help="a JSON file; hf-imgcls recipes lists examples")
    parser.add_argument(
        "overrides", nargs="*", default=(), metavar="section.key=value", help="training.learning_rate=1e-4 ..."
    )
    parser.add_argument("--start-over", action="store_true", help="move the run in output_dir aside, start a new one")
    parser.add_argument(
        "--resume-anyway",
        action="store_true",
        help="resume although the number of processes, the device or the precision changes the result",
    )


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.recipe import check_settings, load_recipe

    # Before the API imports torch: a misspelt key is reported within a second.
    check_settings(load_recipe(options.recipe, options.overrides))
    from hf_imgcls.api import train_classifier

    train_classifier(options.recipe, options.overrides, options.start_over, resume_anyway=options.resume_anyway)
