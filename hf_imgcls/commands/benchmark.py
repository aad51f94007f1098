"""measure a recipe's data path, its model, and both"""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path)
    parser.add_argument("overrides", nargs="*", default=(), metavar="section.key=value")
    parser.add_argument("--steps", type=int, default=30, help="optimizer steps per measurement (default: 30)")
    parser.add_argument("--output", type=Path, help="write the measurements to this JSON file")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import check_measurement_file, describe_measurement, measure_recipe
    from hf_imgcls.machine import on_main, say
    from hf_imgcls.store import write_json

    if options.output:
        on_main(lambda: check_measurement_file(options.output))
    found = measure_recipe(options.recipe, options.overrides, options.steps)
    for line in describe_measurement(found):
        say(line)
    if options.output:
        on_main(lambda: write_json(options.output, found))
