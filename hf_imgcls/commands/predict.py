"""predict images with any image classifier"""

import argparse
import contextlib
import sys
from pathlib import Path

TTA = "test-time augmentation, the mean over views: flip, crops or flip,crops (2, 5, 10 views; default: off)"
ANY_WORD = True  # words after an option are images, not overrides


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="a folder or a Hub id, of this package, of transformers or of timm")
    # Named `overrides` because cli.py adds the words after an option to it.
    parser.add_argument(
        "overrides", nargs="+", metavar="IMAGE", help="files, folders, 'patterns*', URLs; -: a list on standard input"
    )
    parser.add_argument("--output", help="a .csv, .jsonl or .parquet file; images in it are skipped")
    parser.add_argument("--top-k", type=int, default=5, help="labels per image (default: 5)")
    parser.add_argument("--batch-size", type=int, help="default: 4 on a CPU, else 64")
    parser.add_argument("--half", action="store_true", help="in half precision, on a GPU")
    parser.add_argument("--device", help="cpu, cuda:1, mps, ... (default: an accelerator if there is one)")
    parser.add_argument("--tta", metavar="VIEWS", default=(), help=TTA)
    parser.add_argument("--raw-csv", action="store_true", help="no ' before cells that a spreadsheet would run")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code from the model's repository")
    add_limits(parser)
    parser.add_argument("--on", choices=["ray"], help="on the machines of a Ray cluster; --output is a folder for them")
    parser.add_argument("--ray-address", metavar="HOST:PORT", help="of the cluster (default: RAY_ADDRESS, or one here)")
    parser.add_argument("--actors", type=int, help="processes of --on ray (default: one a GPU, or else a machine)")


def add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-pixels", type=int, help="images of more are not read (default: 89,478,485)")
    parser.add_argument("--max-aspect-ratio", type=float, help="longer side / shorter side (default: 100)")


def chosen_limits(options: argparse.Namespace):
    """The limits of an image that were given, and the usual ones; an InputError where one is no limit."""
    from hf_imgcls.errors import InputError
    from hf_imgcls.images import Limits

    given = {key: getattr(options, key) for key in Limits._fields if getattr(options, key) is not None}
    for key, value in given.items():
        if not value >= 1:
            raise InputError(f"--{key.replace('_', '-')}: found {value}, expected 1 or more")
    return Limits(**given)


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.api import describe_counts, predict_images
    from hf_imgcls.machine import on_main
    from hf_imgcls.serving import PredictOptions
    from hf_imgcls.words import clean, without_secrets

    _check_ray(options)
    device = (options.device, options.trust_remote_code, options.half)
    limits = chosen_limits(options)
    how = PredictOptions(options.top_k, options.batch_size, *device, limits, options.raw_csv, options.tta)
    if options.on:
        from hf_imgcls.api import RayOptions, predict_on_ray

        cluster = RayOptions(options.ray_address, options.actors)
        counts = predict_on_ray(options.model, options.overrides, options.output, how, cluster)
    else:
        output = Path(options.output) if options.output else None
        counts = predict_images(options.model, options.overrides, output, how)
    said = describe_counts(counts, options.output and without_secrets(options.output))
    with contextlib.suppress(OSError):  # nobody reads it: the rows are written
        on_main(lambda: print(clean(said), file=sys.stderr, flush=True))


def _check_ray(options: argparse.Namespace) -> None:
    from hf_imgcls.errors import InputError
    from hf_imgcls.store import is_address

    if options.on and not options.output:
        raise InputError("--on ray: needs --output, a folder that all machines share or an address")
    if not options.on and (options.ray_address or options.actors is not None):
        raise InputError(f"{'--ray-address' if options.ray_address else '--actors'}: is for --on ray")
    if not options.on and options.output and is_address(options.output):
        raise InputError("--output: an address is for --on ray; name a file")
