"""One of many processes, on whatever machines, that predict blocks of one list of images."""

import contextlib
import json
import os
import platform
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hf_imgcls import __version__
from hf_imgcls.errors import InputError, UserError
from hf_imgcls.machine import exact_float32
from hf_imgcls.scoring import NONE_OF_THESE
from hf_imgcls.serving.inference import Classifier, predict_rows
from hf_imgcls.serving.open import PredictOptions, open_classifier
from hf_imgcls.serving.part_files import Block, begin_block, read_block, write_part
from hf_imgcls.serving.rows import tried_again
from hf_imgcls.serving.tta import ClassifierOfViews, Tally
from hf_imgcls.store import SharedFolder, as_machine_error


class ActorWork(NamedTuple):
    """What an actor needs to know.

    Attributes:
        model, device: to open.
        on_one: actors that share a machine.
        name: of the opened model, with the digest that it must have on every machine.
        options: with a batch size.
        columns: of a row.
        folder, images: the output, and the name of the list of images in it.
        current: the current folder, for relative paths.
        probe: an image that the first machine has, or None where all are at addresses.
        version: of this package on the first machine.
    """

    model: str
    device: str
    on_one: int
    name: str
    options: PredictOptions
    columns: list[str]
    folder: SharedFolder
    images: str
    current: str
    probe: str | None
    version: str = __version__


class Outcome(NamedTuple):
    """Of a block: images, those unreadable, to try again, rejected; what views changed; or why it failed.

    Attributes:
        status: the exit status that an error has, 0 without one.
    """

    images: int = 0
    unreadable: int = 0
    again: int = 0
    rejected: int = 0
    tally: Sequence[float] = ()
    error: str = ""
    status: int = 0


def read_outcome(row: Mapping[str, str]) -> Outcome:
    """What an actor has said of a block."""
    return Outcome(*json.loads(row["outcome"]))


class BlockPredictor:
    """Opens a model once, with the first block; a UserError is the outcome of a block, since it is no bug."""

    def __init__(self, work: ActorWork):
        self.work = work
        self.classifier: Classifier | ClassifierOfViews | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[str]]:
        """One block, as Ray Data has it: a column for each field in, one of text out, which `read_outcome` reads."""
        outcome = self.predict(Block(*(int(batch[field][0]) for field in Block._fields)))
        return {"outcome": [json.dumps(outcome)]}

    def predict(self, block: Block) -> Outcome:
        try:
            with as_machine_error(), exact_float32(), warnings.catch_warnings(action="ignore"):
                self.classifier = self.classifier or open_work(self.work)
                return self._predict(block)
        except UserError as error:
            return Outcome(error=f"{error} (on {platform.node()})", status=error.status)

    def _predict(self, block: Block) -> Outcome:
        folder, columns = self.work.folder, self.work.columns
        attempt = begin_block(folder, block)
        names, options = read_block(folder, self.work.images, block), self.work.options
        if options.tta:
            self.classifier.tally = Tally()
        batches = predict_rows(self.classifier, names, columns, options.batch_size, options.limits)
        rows = [row for batch in batches for row in batch]
        write_part(folder, block, rows, columns)
        folder.remove(attempt)
        return Outcome(
            len(rows),
            sum(row["error"] is not None for row in rows),
            sum(map(tried_again, rows)),
            sum(row["label_1"] == NONE_OF_THESE and row["score_1"] is None for row in rows),
            tuple(self.classifier.tally) if options.tta else (),
        )


def open_work(work: ActorWork) -> Classifier | ClassifierOfViews:
    """Open the model of a work here; an InputError where this machine has not what the first one has."""
    if work.version != __version__:
        raise InputError(f"hf-imgcls {__version__} is installed, not {work.version}; install the same everywhere")
    with contextlib.suppress(OSError):  # where it is not there, all paths may be absolute ones
        os.chdir(work.current)
    shared = "name one on a drive that all machines share, or an address (s3://...)"
    if work.probe and not os.path.exists(work.probe):
        raise InputError(f"{work.probe}: no such file, which is there on the first machine; {shared}")
    if work.images not in work.folder.names():
        raise InputError(f"--output: {work.folder.place} is not the folder of the first machine; {shared}")
    os.environ["LOCAL_WORLD_SIZE"] = str(work.on_one)  # as launchers set it, for the number of threads
    options = work.options
    classifier = open_classifier(work.model, work.device, options.trust_remote_code, options.half)
    if options.tta:
        classifier = ClassifierOfViews(classifier, options.tta)
    if classifier.name.split("@")[-1] != work.name.split("@")[-1]:
        raise InputError(f"model {work.model!r}: is {classifier.name}, and {work.name} on the first machine")
    return classifier
