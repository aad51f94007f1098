"""list the recipes that come with the package, or copy one"""

import argparse
from pathlib import Path

from hf_imgcls.words import clean


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="a recipe to copy (default: list them all)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to copy it (default: recipes/NAME.json)")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.recipe import copy_recipe, describe_recipes

    if options.name is None:
        print(*map(clean, describe_recipes()), sep="\n")
        return
    written = copy_recipe(options.name, options.output or Path("recipes", f"{options.name}.json"))
    print(clean(f"written: {', '.join(map(str, written))}"))
