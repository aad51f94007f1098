"""find a learning rate by a range test"""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", default=(), metavar="section.key=value")
    parser.add_argument("--stage", type=int, metavar="N", help="stage of the recipe, from 1 (default: the last)")
    parser.add_argument("--lowest", type=float, default=1e-7, help="first learning rate (default: 1e-7)")
    parser.add_argument("--highest", type=float, default=10.0, help="last learning rate (default: 10)")
    parser.add_argument("--steps", type=int, default=100, help="optimizer steps between them (default: 100)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="PNG of the curve (default: <recipe>-find-lr.png)")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.recipe import check_settings, load_recipe

    # Before the API imports torch: a misspelt key is reported within a second.
    check_settings(load_recipe(options.recipe, options.overrides))
    from hf_imgcls.api import find_learning_rate
    from hf_imgcls.training import Sweep

    sweep = Sweep(options.lowest, options.highest, options.steps)
    find_learning_rate(options.recipe, options.overrides, sweep, stage=options.stage, output=options.output)
