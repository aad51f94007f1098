"""check a recipe without loading data or weights"""

import argparse
from pathlib import Path

from hf_imgcls.words import clean


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", default=(), metavar="section.key=value")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.recipe import check_settings, load_recipe

    # Before the API imports torch: a misspelt key is reported within a second.
    check_settings(load_recipe(options.recipe, options.overrides))
    from hf_imgcls.api import check_recipe

    check_recipe(options.recipe, options.overrides)
    print(clean(f"{options.recipe}: OK"))
