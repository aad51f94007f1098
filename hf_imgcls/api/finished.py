"""The end of a run: what it prints, and what the same command answers once the run is finished."""

from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from hf_imgcls import reports
from hf_imgcls.data import load_data
from hf_imgcls.errors import ParityError
from hf_imgcls.machine import first_on_machine, on_main, say
from hf_imgcls.publishing import push_trained
from hf_imgcls.recipe import DataSection
from hf_imgcls.serving import describe_parity
from hf_imgcls.store import RESULTS, check_same_data, read_kept


def answer_again(folder: Path, section: DataSection, arguments: TrainingArguments) -> dict[str, Any]:
    """The results of a finished run of the same recipe, if its data are the same too; pushed if that is still to do."""
    with first_on_machine("reads the images"):
        data = load_data(section)
    on_main(lambda: check_same_data(folder, data.describe_splits()))
    results = read_kept(folder / RESULTS)
    say(f"finished already: {folder} was trained with this recipe on these images; --start-over trains again")
    tell_results(folder, results)
    push_trained(folder, arguments, data)
    return results


def tell_results(folder: Path, results: dict[str, Any]) -> None:
    """Print the results of a run; a ParityError where the saved model does not reproduce them."""
    # In a file, what is not a number is null.
    scores = {
        split: {key: float("nan") if value is None else value for key, value in values.items()}
        for split, values in results["scores"].items()
    }
    lines = reports.describe_scores(scores, results.get("cautions", {}))
    for line in [*lines, *(reports.describe_time(results["time"]) if "time" in results else ())]:
        say(line)
    if verdict := results.get("parity"):
        say(describe_parity(verdict))
        if not verdict["passed"]:
            raise ParityError(describe_parity(verdict))
    say(f"saved in {folder}")
