"""show what in an image speaks for a label"""

import argparse
import sys
from pathlib import Path

from hf_imgcls.commands.predict import add_limits, chosen_limits

ANY_WORD = True  # words after an option are images, not overrides


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a folder or a Hub id, of this package, of transformers or of timm")
    parser.add_argument(
        "overrides", nargs="+", metavar="IMAGE", help="files, folders, 'patterns*', URLs; -: a list on standard input"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("explanations"), help="a new or empty folder (default: explanations)"
    )
    parser.add_argument(
        "--label", action="append", metavar="NAME", default=[], help="this label, or several (default: those predicted)"
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON, one a line")
    parser.add_argument("--device", help="cpu, cuda:1, mps, ... (default: an accelerator if there is one)")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code from the model's repository")
    add_limits(parser)


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import ExplainOptions, describe_row, explain_images
    from hf_imgcls.words import as_json, clean, plural

    how = ExplainOptions(options.label, options.device, options.trust_remote_code, chosen_limits(options))
    explained, skipped = 0, 0
    for row in explain_images(options.model, options.overrides, options.output, how):
        explained, skipped = explained + (row["error"] is None), skipped + (row["error"] is not None)
        text = as_json(row) if options.json else clean(describe_row(row))
        print(clean(text), file=sys.stderr if row["error"] and not options.json else sys.stdout, flush=True)
    left_out = f", {skipped} skipped" if skipped else ""
    print(clean(f"{plural(explained, 'image')} explained{left_out}; in {options.output}"), file=sys.stderr)
