"""Work that one process of each machine does first, while the others wait for it as long as it takes."""

import contextlib
import itertools
import pickle
import platform
import sys
import time
from collections.abc import Callable, Iterator

from accelerate import PartialState
from torch import distributed
from torch.distributed.distributed_c10d import _get_default_store

from hf_imgcls.errors import ProcessError, UserError
from hf_imgcls.store import as_machine_error
from hf_imgcls.words import clean

_SOON, _AGAIN = 60.0, 600.0  # seconds until one that waits says so, and says so again
_PAUSE = 0.5  # seconds between two looks
_turns = itertools.count()  # the same in every process, as they take the same turns


@contextlib.contextmanager
def first_on_machine(work: str) -> Iterator[None]:
    """The first process of each machine runs the block before its others do; what it computes they find in the cache.

    Not by a collective operation, which fails where a process comes half an hour late (`training.ddp_timeout`): those
    that wait ask the store of the launch now and then.

    Args:
        work: what the first one does, for the line of those that wait: "reads the images".

    Raises:
        UserError: that of the first process; any other of it is a ProcessError.
    """
    state = PartialState()
    if state.num_processes == 1 or not distributed.is_initialized():
        yield
        return
    store, turn = _get_default_store(), f"hf_imgcls/turn-{next(_turns)}"
    first = f"{turn}/{platform.node()}"
    if not state.is_local_main_process:
        waits_for = f"the first process of this machine, which {work}"
        _wait(lambda: store.check([first]), waits_for, tells=state.local_process_index == 1)
        if error := pickle.loads(store.get(first)):
            raise error
    try:
        with as_machine_error():
            yield
    except BaseException as error:
        if state.is_local_main_process:
            known = isinstance(error, UserError)
            told = (
                error if known else ProcessError(f"the first process failed while it {work} ({type(error).__name__})")
            )
            store.set(first, pickle.dumps(told))
        raise
    if state.is_local_main_process:
        store.set(first, pickle.dumps(None))
    # Machines are not equally fast; what comes next may be a collective operation.
    store.add(f"{turn}/ready", 1)
    all_ready = lambda: store.add(f"{turn}/ready", 0) == state.num_processes  # noqa: E731
    _wait(all_ready, f"other machines, of which one {work}", tells=state.is_local_main_process)


def _wait(is_over: Callable[[], bool], what: str, tells: bool) -> None:
    begun, told, pause = time.monotonic(), 0.0, 0.001
    while not is_over():
        time.sleep(pause)
        pause = min(2 * pause, _PAUSE)
        waited = time.monotonic() - begun
        if tells and waited - told > (_AGAIN if told else _SOON):
            told = waited
            print(clean(f"waiting for {what} ({waited / 60:.0f} minutes so far)"), file=sys.stderr, flush=True)
