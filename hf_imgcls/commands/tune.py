"""search the values that a recipe gives in its section tune"""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, help="with a section tune")
    parser.add_argument("overrides", nargs="*", default=(), metavar="section.key=value")
    parser.add_argument("--trials", type=int, default=20, help="trials in total, with those there (default: 20)")
    parser.add_argument("--minutes", type=float, help="begin no trial that would end after this")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="folder (default: <training.output_dir>-tune)")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.recipe import check_settings, check_space, load_recipe

    # Before the API imports torch: a misspelt key is reported within a second.
    recipe = load_recipe(options.recipe, options.overrides)
    check_settings(recipe)
    check_space(recipe.tune)
    from hf_imgcls.api import TuneOptions, tune_recipe

    how = TuneOptions(options.trials, options.minutes, options.output)
    tune_recipe(options.recipe, options.overrides, how)
