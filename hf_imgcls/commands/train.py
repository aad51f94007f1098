"""hf-imgcls train"""

import argparse
from pathlib import Path

HELP = "train, score, save and check the classifier of a recipe"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, help="a JSON file; recipes/ has examples")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="training.learning_rate=1e-4 ...")
    parser.add_argument("--start-over", action="store_true", help="move a run in the same folder aside, begin anew")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.recipe import check_settings, load_recipe

    # Before the API is imported, and torch with it: a misspelt key is found in a second.
    check_settings(load_recipe(options.recipe, options.overrides))
    from hf_imgcls.api import train_classifier

    train_classifier(options.recipe, options.overrides, options.start_over)
