"""show the layers of a recipe's network and what trains"""

import argparse
from pathlib import Path

from hf_imgcls.words import clean


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", default=(), metavar="section.key=value")
    parser.add_argument("--depth", type=int, metavar="N", help="levels of layers within layers (default: 40 lines)")
    parser.add_argument("--classes", type=int, metavar="N", help="number of classes (default: the data's)")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.recipe import load_recipe

    load_recipe(options.recipe, options.overrides)  # before the API imports torch
    from hf_imgcls.api import describe_network

    lines = describe_network(options.recipe, options.overrides, options.depth, options.classes)
    print(*map(clean, lines), sep="\n")
