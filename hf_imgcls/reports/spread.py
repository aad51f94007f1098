"""The table of several runs: a row for each, their mean and their deviation."""

from collections.abc import Mapping, Sequence
from typing import Any

from hf_imgcls.scoring import metrics_in

_OWN = ("mean", "std")


def spread_table(spreads: Mapping[str, Mapping[str, Any]], heading: str, runs: Sequence[str]) -> list[str]:
    """Lines of a table.

    Args:
        spreads: of `spread_of`.
        heading, runs: the first cells of the heading and of each run's row, of one width.
    """
    columns = {
        (split, key): f"{'' if split == 'validation' else f'{split} '}{metric.name}"
        for split, values in spreads.items()
        for key, metric in metrics_in(values).items()
    }
    values = [spreads[split][key] for split, key in columns]
    of_runs = [next(each for name, each in value.items() if name not in _OWN) for value in values]
    rows = [(run, [each[place] for each in of_runs]) for place, run in enumerate(runs)]
    rows += [("mean", [value["mean"] for value in values]), ("deviation", [value["std"] for value in values])]
    width = len(heading)
    lines = [_line(heading, columns.values())]
    for first, cells in rows:
        known = [_cell(cell, lone=first == "deviation" and len(runs) == 1) for cell in cells]
        lines.append(
            _line(
                f"{first:<{width}}", [cell.rjust(len(head)) for cell, head in zip(known, columns.values(), strict=True)]
            )
        )
    return lines


def _cell(value: float | None, lone: bool) -> str:
    return "-" if lone else "nan" if value is None else f"{value:.4f}"


def _line(first: str, cells) -> str:
    return "  ".join([first, *(f"{cell:>8}" for cell in cells)]).rstrip()
