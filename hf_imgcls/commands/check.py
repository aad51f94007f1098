"""hf-imgcls check"""

import argparse
from pathlib import Path

HELP = "check a recipe without loading data or weights"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", metavar="section.key=value")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.recipe import as_run, cached_json, check_settings, load_recipe

    recipe = load_recipe(options.recipe, options.overrides)
    check_settings(recipe)
    # What is left to check imports torch, and is the same each time for the same recipe and checkpoint.
    config = Path(recipe.model.checkpoint or "", "config.json").expanduser()
    text = config.read_text(encoding="utf-8", errors="replace") if recipe.model.checkpoint and config.is_file() else ""
    cached_json("hf_imgcls_checked", [as_run(recipe), text], lambda: _check(options))
    print(f"{options.recipe}: OK")


def _check(options: argparse.Namespace) -> bool:
    from hf_imgcls.api import check_recipe

    check_recipe(options.recipe, options.overrides)
    return True
