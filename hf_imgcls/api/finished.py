"""The two ends of a run: the places it will write; what it leaves and prints, and what a finished one answers."""

from pathlib import Path
from typing import Any

from transformers import TrainingArguments
from transformers.utils.hub import HF_MODULES_CACHE

from hf_imgcls import reports
from hf_imgcls.data import load_data
from hf_imgcls.errors import ParityError
from hf_imgcls.machine import first_on_machine, on_main, say
from hf_imgcls.publishing import push_trained
from hf_imgcls.recipe import BUILT_IN_ARCHITECTURES, DataSection
from hf_imgcls.serving import describe_parity
from hf_imgcls.store import HISTORY, RESULTS, check_same_data, own_code, read_kept, try_place, write_json


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
    lines += reports.describe_rejection(results.get("rejection"))
    for line in [*lines, *(reports.describe_time(results["time"]) if "time" in results else ())]:
        say(line)
    if verdict := results.get("parity"):
        say(describe_parity(verdict))
        if not verdict["passed"]:
            raise ParityError(describe_parity(verdict))
    page = reports.page_of(folder)
    say(f"saved in {folder}{f'; report: {page}' if page else ''}")


def finish(folder: Path, recipe, results: dict[str, Any], stages: list[dict]) -> None:
    """Write what a finished run leaves behind; results.json last, since it marks the run as finished."""
    history = [entry for stage in stages for entry in stage["history"]]
    write_json(folder / HISTORY, history)
    reports.write_card(folder, recipe, results)
    write_json(folder / RESULTS, results)


def try_places(folder: Path, recipe) -> None:
    """Before any image is read: whether the run's folder can be written, and where code of a model's own is copied."""
    try_place(folder, "training.output_dir")
    model = recipe.model
    own = recipe.ensemble.networks or model.architecture in BUILT_IN_ARCHITECTURES or model.head
    if own or (model.checkpoint and own_code(Path(model.checkpoint).expanduser())):  # which the parity check opens
        try_place(Path(HF_MODULES_CACHE), "HF_MODULES_CACHE")
