"""Two processes, of which one takes longer than a collective operation waits: `torchrun ... tests/turns_of_two.py`."""

import contextlib
import time
from datetime import timedelta

from accelerate import PartialState
from accelerate.utils import gather_object

from hf_imgcls.errors import InputError, UserError
from hf_imgcls.machine import first_on_machine, turns

if __name__ == "__main__":
    state = PartialState(cpu=True, timeout=timedelta(seconds=1))
    turns._SOON, order = 0.5, []
    gather_object([0])  # connects: main_process_first of accelerate would fail from here on
    with first_on_machine("reads the images"):
        order.append(time.time())
        time.sleep(2.5 if state.is_main_process else 0)
    starts = gather_object(order)
    for error in (InputError("data: no images"), ValueError("a bug")):
        with contextlib.suppress(ValueError, UserError):
            try:
                with first_on_machine("reads the images"):
                    assert state.is_main_process
                    raise error
            except Exception as met:
                found = gather_object([f"{type(met).__name__}: {met}"])
                raise
        if state.is_main_process:
            print(found)
    if state.is_main_process:
        print(f"second after {starts[1] - starts[0]:.1f} seconds")
