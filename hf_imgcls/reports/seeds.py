"""What runs of several seeds print at their end, and the row of a table of results that they become."""

from collections.abc import Mapping, Sequence
from typing import Any

from hf_imgcls.reports.spread import spread_table
from hf_imgcls.scoring import METRICS, metrics_in
from hf_imgcls.words import duration, listed, plain, plural, table

_WORDS = ("recipe", "data", "training time")


def describe_seeds(summary: Mapping[str, Any]) -> list[str]:
    """A table with a row for each seed, mean and deviation; what they are of; cautions and their seeds."""
    seeds, spreads = summary["seeds"], summary["scores"]
    width = max(9, *(len(str(seed)) for seed in seeds))
    lines = spread_table(spreads, f"{'seed':<{width}}", [f"{seed:<{width}}" for seed in seeds]) if spreads else []
    lines.append(f"seeds: {summary['spread']}")
    for split, cautions in summary["cautions"].items():
        for each in cautions:
            of = "" if each["seeds"] == seeds else f" (seed {listed(each['seeds'])})"
            lines.append(f"{split}{of}: {each['caution']}")
    return lines


def say_spread(summary: Mapping[str, Any]) -> str:
    """What mean and deviation are of, in a sentence."""
    seeds, images = summary["seeds"], summary["images"]
    if len(seeds) == 1:
        return f"one run, seed {seeds[0]}: no deviation is known of it"
    held_out = " and ".join(f"{images[split]:,} {split} images" for split in images if split != "train")
    same = (
        f"; the {held_out} are the same in all of them (data.seed), and their choice adds to the spread"
        if held_out
        else ""
    )
    of = f"{plural(len(seeds), 'training')} that differ in training.seed"
    line = f"mean and sample standard deviation (n - 1) of {of}{same}"
    values = [metric["seeds"] for split in summary["scores"].values() for metric in split.values()]
    if values and all(len({*each}) == 1 for each in values):
        line += "; all scores are equal: nothing that counts in this recipe is drawn by training.seed"
    return line


def seeds_row(summary: Mapping[str, Any], name: str) -> str:
    """A Markdown table of one row, to be pasted into one of results: mean and deviation of scores, range of times."""
    images, scores = summary["images"], summary["scores"]
    each = [f"{images[split]:,}" if split in images else "none" for split in ("train", "validation", "test")]
    sizes = " / ".join(each) if images else "streamed"
    metrics = [*metrics_in(next(iter(scores.values()), {}))]
    main = next((key for key in ("accuracy", "map") if key in metrics), "accuracy")
    second = "macro_f1" if "macro_f1" in metrics else main
    called = {key: METRICS[key].name if key in METRICS else key for key in (main, second)}
    data = plain(summary["recipe"]["data"]["path"].rstrip("/").rpartition("/")[2])
    cells = {
        "recipe": name,
        "data": f"{data}, {sizes}; {plural(len(summary['seeds']), 'seed')}",
        f"test {called[main]}": _value(scores.get("test", {}).get(main), each=True),
        called[second]: _value(scores.get("test", {}).get(second)),
        "validation": _value(scores.get("validation", {}).get(main)),
        "training time": _times(summary["training_seconds"]),
    }
    return table([*cells], [[*cells.values()]], _WORDS)


def _value(spread: Mapping[str, Any] | None, each: bool = False) -> str:
    if spread is None:
        return "none"
    numbers = ["nan" if value is None else f"{value:.4f}" for value in (spread["mean"], *spread["seeds"])]
    if spread["std"] is None:
        return numbers[0]
    return f"{numbers[0]} ± {spread['std']:.4f}" + (f" ({', '.join(numbers[1:])})" if each else "")


def _times(seconds: Sequence[float]) -> str:
    first, last = duration(min(seconds)), duration(max(seconds))
    return first if first == last else f"{first} to {last}"
