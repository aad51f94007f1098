"""find the largest batch size that fits into the memory"""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", default=(), metavar="section.key=value")
    parser.add_argument("--stage", type=int, metavar="N", help="stage of the recipe, from 1 (default: the last)")
    parser.add_argument(
        "--keep-step", action="store_true", help="keep the images of an optimizer step, by gradient accumulation"
    )


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.recipe import check_settings, load_recipe

    # Before the API imports torch: a misspelt key is reported within a second.
    check_settings(load_recipe(options.recipe, options.overrides))
    from hf_imgcls.api import find_batch_size

    find_batch_size(options.recipe, options.overrides, stage=options.stage, keep_step_size=options.keep_step)
