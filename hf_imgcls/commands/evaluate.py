"""score a saved folder or Hub model on a dataset"""

import argparse
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a folder or a Hub id")
    parser.add_argument("data", help="anything that data.path can be")
    parser.add_argument("overrides", nargs="*", metavar="data.key=value", help="data.label_column=kind ...")
    parser.add_argument("--split", help="a split or slice (default: test)")
    parser.add_argument("--batch-size", type=int, default=32, help="default: 32")
    parser.add_argument("--output", type=Path, help="write the metrics to this JSON file")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import evaluate_classifier
    from hf_imgcls.machine import say
    from hf_imgcls.reports import describe_scores
    from hf_imgcls.store import write_json

    result = evaluate_classifier(options.model, options.data, options.split, options.overrides, options.batch_size)
    for line in [*result["notes"], *describe_scores({result["split"]: result["scores"]})]:
        say(line)
    if options.output:
        write_json(options.output, result)
