"""The candidates of a fit: a table for the console, and what is kept of each."""

from collections.abc import Sequence
from typing import Any

from hf_imgcls.training import Candidate


def candidate_table(found: Sequence[Candidate], chosen: Candidate) -> list[str]:
    """A line for each candidate, the lowest validation loss first; `*` marks the one that was chosen."""
    width = max(len("network"), *(len(each.checkpoint) for each in found)) + 2
    lines = [
        f"  {'network':{width}}validation accuracy (95 % interval)    loss  parameters  images/s  seconds",
    ]
    for each in sorted(found, key=lambda each: each.loss):
        low, high = each.interval
        accuracy = f"{each.accuracy:.4f} ({low:.4f} to {high:.4f})"
        lines.append(
            f"{'*' if each is chosen else ' '} {each.checkpoint:{width}}{accuracy:<35}  {each.loss:6.4f}  "
            f"{each.parameters / 1e6:>8.1f} M  {each.images_per_second[0]:>8.1f}  {each.seconds:>7.1f}"
        )
    best = min(found, key=lambda each: each.loss)
    if chosen is not best:
        lines.append(
            f"fit: {chosen.checkpoint} is smaller than {best.checkpoint}, whose loss is lower by chance at most"
        )
    return lines


def describe_candidate(candidate: Candidate) -> dict[str, Any]:
    """What is kept of a candidate, ready for JSON."""
    return {
        "checkpoint": candidate.checkpoint,
        "validation_loss": candidate.loss,
        "validation_accuracy": candidate.accuracy,
        "interval": candidate.interval,
        "penalty": candidate.penalty,
        "parameters": candidate.parameters,
        "balanced": candidate.balanced,
        "images_per_second": round(candidate.images_per_second[0], 1),
        "trained_per_second": round(candidate.images_per_second[1], 1),
        "seconds": round(candidate.seconds, 1),
    }
