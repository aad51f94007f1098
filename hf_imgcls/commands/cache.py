"""list what the cache holds, or clear it"""

import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--clear", action="store_true", help="delete it: what is needed is computed again")


def run(options: argparse.Namespace) -> None:
    from hf_imgcls.store import cache_folder, clear_cache, list_cache
    from hf_imgcls.words import clean, megabytes, plural

    if options.clear:
        print(clean(f"{cache_folder()}: {megabytes(clear_cache())} deleted"))
        return
    kinds = list_cache()
    for kind, entries, size in kinds:
        print(clean(f"{kind:<12}{plural(entries, 'entry'):>14}{megabytes(size):>14}"))
    print(clean(f"{cache_folder()}: {megabytes(sum(size for *_, size in kinds))}"))
