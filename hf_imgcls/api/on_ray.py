"""Predicting on many machines: Ray gives blocks of the list of images to actors, which write a Parquet file each."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from hf_imgcls import serving
from hf_imgcls.api.blocks_on_ray import RayOptions, predict_blocks
from hf_imgcls.api.image_rows import ImageCounts, join_processes, note, note_counts
from hf_imgcls.api.predict import check_options
from hf_imgcls.errors import InputError
from hf_imgcls.machine import import_ray
from hf_imgcls.serving import ActorWork, Outcome, PredictOptions
from hf_imgcls.store import Lock, SharedFolder, check_address, is_address, lock_beside, try_place

_DEFAULTS = PredictOptions()
_TEXT = (".csv", ".jsonl")
_USUAL = RayOptions()


def predict_on_ray(
    model: str,
    images: Sequence[str],
    output: str,
    options: PredictOptions = _DEFAULTS,
    ray_options: RayOptions = _USUAL,
) -> ImageCounts:
    """Predict images on a Ray cluster; the rows of `predict_images`, in a folder of Parquet files.

    Images that the folder already has are skipped as `predict_images` skips them.

    Args:
        output: a new folder, or that of an earlier run: a path that all machines share, or an address (s3://...).
    """
    options = _check(options, ray_options)
    import_ray()
    folder = _open_folder(output, images)
    with Lock() as lock, tempfile.TemporaryFile("w+", encoding="ascii") as names:
        if folder.path:
            lock.take(lock_beside(folder.path), f"--output: {output}", "wait until that has ended, or name another")
        written = serving.read_written_parts(folder)
        size = serving.write_list(serving.find_images(images), written.done, names)
        name, columns = _about(model, options)
        serving.check_continues(written, name, columns, folder.place)
        total = Outcome()
        if size.to_do:
            if size.done:
                note(f"{output} has {size.done} of the images, {size.to_do} are left")
            serving.clear_run(folder)  # of one that was killed
            serving.drop_rows_of_parts(folder, _listed(written.again, names), columns)
            work = ActorWork(model, "cpu", 1, name, options, columns, folder, "", os.getcwd(), _probe(names))
            try:
                total = predict_blocks(work, names, size.to_do, ray_options)
            finally:
                serving.clear_run(folder)
        note_counts(total.again, total.rejected)
        if options.tta and total.images:
            note(serving.describe_tally(options.tta, serving.Tally(*total.tally)))
    return ImageCounts(size.to_do, total.unreadable, size.done)


def _check(options: PredictOptions, ray_options: RayOptions) -> PredictOptions:
    if join_processes().num_processes > 1:
        raise InputError("--on ray: it starts its own processes; leave out accelerate launch")
    if ray_options.actors is not None and ray_options.actors < 1:
        raise InputError(f"--actors: found {ray_options.actors}, expected 1 or more")
    if options.device not in (None, "cpu", "cuda"):
        raise InputError(f"--device {options.device}: with --on ray each process has a GPU of its own; cpu or cuda")
    return check_options(options)


def _open_folder(output: str, images: Sequence[str]) -> SharedFolder:
    if output.lower().endswith(_TEXT):
        raise InputError(f"--output: {output}: --on ray writes a folder of Parquet files; name a folder")
    if is_address(output):
        check_address(output)
        return SharedFolder(output)
    path = Path(output).resolve()
    if path.exists() and not path.is_dir():
        raise InputError(f"--output: {output} is a file; --on ray writes a folder of Parquet files, name a new one")
    inside = next((each for each in images if os.path.isdir(each) and path.is_relative_to(Path(each).resolve())), None)
    if inside:  # the next training would read it as data
        raise InputError(f"--output: {output} is in {inside}, whose images are predicted; name a folder outside of it")
    try_place(path, "--output")
    return SharedFolder(str(path))


def _about(model: str, options: PredictOptions) -> tuple[str, list[str]]:
    """The name that every actor's model must have, and the columns of a row; what is wrong with it is found here."""
    opened = serving.open_classifier(model, "cpu", options.trust_remote_code)
    if options.half:
        opened = opened._replace(name=f"{opened.name}-half")
    columns = serving.column_names(min(options.top_k, len(opened.labels)), opened.thresholds is not None)
    return (serving.ClassifierOfViews(opened, options.tta) if options.tta else opened).name, columns


def _listed(again: set[int], names: TextIO) -> set[int]:
    """Those of these hashes of names that a list has."""
    if not again:
        return again
    hashes = (serving.name_hash(serving.display_name(name)) for name in serving.read_list(names, 0, 1))
    return again.intersection(hashes)


def _probe(names: TextIO) -> str | None:
    """An image of this machine, which the others must have too; None where a list has addresses alone."""
    paths = (name for name in serving.read_list(names, 0, 1) if not is_address(name))
    return next(filter(os.path.exists, paths), None)
