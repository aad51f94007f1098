"""Blocks of a list of images for the actors of a Ray cluster, and the sums of what becomes of them."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from typing import NamedTuple, TextIO

from tqdm.auto import tqdm

from hf_imgcls import serving
from hf_imgcls.api.image_rows import note
from hf_imgcls.api.on_device import BATCH_SIZES
from hf_imgcls.errors import InputError, MachineError
from hf_imgcls.machine import Cluster, describe_actors, open_cluster, show_progress
from hf_imgcls.serving import ActorWork, Block, BlockPredictor, Outcome, PredictOptions
from hf_imgcls.words import one_line, plural


class RayOptions(NamedTuple):
    """Which cluster, and how many processes predict there."""

    address: str | None = None  # None: RAY_ADDRESS, or else this machine
    actors: int | None = None  # None: one for each GPU, or without any for each machine


def predict_blocks(work: ActorWork, names: TextIO, images: int, ray_options: RayOptions) -> Outcome:
    """Predict a list of so many images; the sums over its blocks."""
    # Ray writes to standard output what concerns nobody.
    with open(os.devnull, "w") as nobody, redirect_stdout(nobody), open_cluster(ray_options.address) as cluster:
        actors, resources, on_one = share_out(cluster, ray_options.actors, work.options)
        device = "cuda" if "num_gpus" in resources else "cpu"
        batch_size = work.options.batch_size or BATCH_SIZES[device]
        work = work._replace(
            device=device,
            on_one=on_one,
            options=work.options._replace(batch_size=batch_size),
            images=serving.put_list(work.folder, names),
        )
        blocks = list(serving.as_blocks(names, serving.block_size(images, actors, batch_size, device)))
        actors = min(actors, len(blocks))
        note(describe_actors(actors, resources, cluster))
        bar = tqdm(total=images, desc="predicting", unit="image", disable=not show_progress())
        total = Outcome()
        with bar, closing(_outcomes(work, blocks, actors, resources)) as outcomes:
            for outcome in outcomes:
                if outcome.error:
                    raise (InputError if outcome.status == InputError.status else MachineError)(outcome.error)
                total = _add(total, outcome)
                bar.update(outcome.images)
    return total


class Share(NamedTuple):
    """What predicts: actors, what each of them has of its machine, and how many are on one machine."""

    actors: int
    resources: dict[str, int]
    on_one: int


def share_out(cluster: Cluster, actors: int | None, options: PredictOptions) -> Share:
    """What predicts on a cluster; an InputError where it has not what is asked for."""
    on_gpus = cluster.gpus > 0 and options.device != "cpu"
    if options.device == "cuda" and not on_gpus:
        raise InputError("--device cuda: the cluster has no GPU; leave it out")
    if options.half and not on_gpus:
        raise InputError("--half: is for a GPU, and none of the cluster predicts; leave it out")
    most = cluster.gpus if on_gpus else cluster.cpus
    if actors and actors > most:
        has = plural(most, "GPU" if on_gpus else "CPU")
        raise InputError(f"--actors: found {actors}, but the cluster has {has}; ask for that many or fewer")
    if on_gpus:
        actors = actors or cluster.gpus
        return Share(actors, {"num_cpus": 1, "num_gpus": 1}, min(actors, cluster.most_gpus))
    actors = actors or cluster.machines
    on_one = -(-actors // cluster.machines)
    return Share(actors, {"num_cpus": max(1, cluster.fewest_cpus // on_one)}, on_one)


def _outcomes(work: ActorWork, blocks: list[Block], actors: int, resources: dict[str, int]) -> Iterator[Outcome]:
    """What became of each block, as they end; one whose actor is killed is predicted again by another."""
    import ray
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    rows = ray.data.from_items([block._asdict() for block in blocks], override_num_blocks=len(blocks))
    pool = ray.data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=2)
    found = rows.map_batches(
        BlockPredictor, fn_constructor_args=(work,), batch_size=1, compute=pool, **resources
    ).iter_rows()
    try:
        with closing(iter(found)) as outcomes:
            for row in outcomes:
                yield serving.read_outcome(row)
    except ray.exceptions.RayError as error:
        _raise_as_line(error)
        raise


def _raise_as_line(error: Exception) -> None:
    """As a user's error where a machine of the cluster is at fault; nothing where it is a bug."""
    import ray

    text = str(error)
    if missing := re.search(r"ModuleNotFoundError: (No module named [^\n]+)", text):
        raise InputError(
            f"--on ray: {one_line(missing[1])} on a machine of the cluster; install the same hf-imgcls[ray] on all"
        ) from None
    if not isinstance(error, ray.exceptions.RayTaskError | ray.exceptions.UserCodeException):
        why = one_line(f"{type(error).__name__}: {text}", 200)
        raise MachineError(f"ray: {why}; run the same command again") from None


def _add(one: Outcome, other: Outcome) -> Outcome:
    tally = tuple(map(sum, zip(one.tally, other.tally, strict=True))) if one.tally else other.tally
    counts = (first + more for first, more in zip(one[:4], other[:4], strict=True))
    return Outcome(*counts, tally)
