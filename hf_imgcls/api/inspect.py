"""An inspection: what a dataset holds, and what is wrong with it. Nothing is trained or changed."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from hf_imgcls import machine, reports
from hf_imgcls.api.suspects import find_suspects
from hf_imgcls.data import KINDS, find_faults, load_data, see_images
from hf_imgcls.errors import FindingsError, InputError, nearest
from hf_imgcls.machine import say
from hf_imgcls.recipe import as_run, check_outside, check_path, load_recipe
from hf_imgcls.store import RECIPE, cache_in_use, read_json, try_place
from hf_imgcls.training import PRESETS
from hf_imgcls.words import one_line, plural


class InspectOptions(NamedTuple):
    """How to inspect.

    Attributes:
        output: a new .json or .csv file, or a new folder that gets both and the plots.
        labels: whether labels are looked at too, by the features of the recipe's network; of one named below, they are.
        checkpoints: pretrained networks in place of the recipe's; of several, the mean of the probabilities counts.
        strict: whether a finding is an error.
        allow: kinds of findings that are none then.
    """

    output: Path | None = None
    labels: bool = False
    checkpoints: tuple[str, ...] = ()
    strict: bool = False
    allow: tuple[str, ...] = ()


_DEFAULTS = InspectOptions()


@cache_in_use()
def inspect_data(
    source: str | Path | dict, overrides: Iterable[str] = (), options: InspectOptions = _DEFAULTS
) -> dict[str, Any]:
    """Say what the images of a recipe or a folder are, and what is wrong with them.

    Args:
        source: a recipe, the folder of a run, or anything that `data.path` can be.
        overrides: `section.key=value`.

    Returns:
        `classes`, `splits` (of each `images`, `per_class`, `sizes`, `modes`), `columns`, `notes`, `findings`, and with
        `labels` `suspects`, the most probable errors first.

    Raises:
        InputError: the data cannot be loaded, or the output is there already.
        FindingsError: with `strict`, there is a finding of a kind that is not allowed.
    """
    recipe = read_data_recipe(source, list(overrides))
    section = recipe.data
    _check(options, section)
    machine.prepare_launch()
    section = section.model_copy(update={"bad_images": "drop", "duplicates": "keep", "cache_size": None})
    if section.multi_label:
        raise InputError("model.multi_label: inspect compares one label an image; check and train read several")
    data = load_data(section, unknown=[])
    seen = see_images(data)
    findings = find_faults(seen)
    recipes = [_with_network(recipe, name) for name in options.checkpoints] or [recipe]
    suspects = find_suspects(recipes, seen) if options.labels or options.checkpoints else None
    report = reports.collect_inspection(seen, findings, suspects, section)
    for line in reports.describe_inspection(report):
        say(line)
    if options.output:
        machine.on_main(lambda: reports.save_inspection(options.output, report, seen))
        say(f"saved: {options.output}")
    grave = [each for each in findings if each.kind not in options.allow]
    if options.strict and grave:
        first, kinds = grave[0], dict.fromkeys(each.kind for each in grave)
        count = f"{plural(first.images, 'image')}, " if first.images else ""
        raise FindingsError(
            f"inspect: {plural(len(grave), 'finding')}, the first: {first.split}: {count}{one_line(first.text, 100)}; "
            f"mend what is wrong, or --allow {' '.join(kinds)}"
        )
    return report


def read_data_recipe(source: str | Path | dict, overrides: list[str]):
    """The recipe; around a folder or dataset, a recipe of its own."""
    if isinstance(source, dict):
        return load_recipe(source, overrides)
    file = Path(source).expanduser()
    if (file / RECIPE).is_file():
        return load_recipe(file / RECIPE, overrides)
    if file.suffix == ".json" and file.is_file() and _is_recipe(file):
        return load_recipe(file, overrides)
    network = PRESETS["default"]["cpu"][0]
    content = {"data": {"path": str(source)}, "model": {"checkpoint": network}, "training": {"output_dir": "none"}}
    return load_recipe(content, overrides)


def _with_network(recipe, checkpoint: str):
    """A recipe of the same data and machine with another network."""
    content = as_run(recipe)
    return load_recipe({**{key: content[key] for key in ("data", "training")}, "model": {"checkpoint": checkpoint}})


def _is_recipe(file: Path) -> bool:
    """Whether a JSON file is a recipe, or meant to be one; others are tables."""
    try:
        content = read_json(file)
    except ValueError:
        return not file.read_text(encoding="utf-8", errors="replace").lstrip().startswith(('{"', "["))
    return isinstance(content, dict) and bool({"data", "model", "training"} & content.keys())


def _check(options: InspectOptions, section) -> None:
    if section.streaming:
        raise InputError("data.streaming: inspect reads all images; leave it out")
    for kind in options.allow:
        if kind not in KINDS:
            raise InputError(f"--allow: found {kind!r}, expected {', '.join(KINDS)}{nearest(kind, KINDS)}")
    check_path(section)
    place = options.output
    if place is None:
        return
    if place.exists() and not (place.is_dir() and not any(place.iterdir())):
        raise InputError(f"--output: {place} exists already; name another file or folder")
    if not place.absolute().parent.is_dir():
        raise InputError(f"--output: there is no folder {place.parent}")
    check_outside(place, section.path)
    try_place(place.absolute().parent, "--output")
