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

    def check() -> bool:
        from hf_imgcls.api import check_recipe

        check_recipe(options.recipe, options.overrides)
        return True

    # What is left to check imports torch. It is the same for the same recipe and checkpoint, so it is done once.
    config = Path(recipe.model.checkpoint or "", "config.json").expanduser()
    text = config.read_text(encoding="utf-8") if recipe.model.checkpoint and config.is_file() else None
    cached_json("checked", [as_run(recipe), text], check)
    print(f"{options.recipe}: OK")
