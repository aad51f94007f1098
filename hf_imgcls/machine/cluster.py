"""A cluster of Ray: one that is there, or one of this machine while a command runs; quiet, and without reports."""

import contextlib
import importlib.util
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hf_imgcls.errors import ENDING_SIGNALS, InputError, MachineError
from hf_imgcls.words import one_line, plural

_HERE = "local"
_SECONDS = 5  # in which the address of a cluster answers
_STORE = 80 << 20  # bytes, about the least that Ray takes: only numbers go through it
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is reported to anybody
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray asks for in a warning
}


class Cluster(NamedTuple):
    """Machines that are alive; CPUs of all and of the smallest one; GPUs of all and of the one that has most."""

    machines: int
    cpus: int
    fewest_cpus: int
    gpus: int = 0
    most_gpus: int = 0


def import_ray():
    """The library, told to be quiet before it is first imported; an InputError where it is missing."""
    if not all(map(importlib.util.find_spec, ("ray", "pandas"))):
        raise InputError('--on ray: ray is not installed; pip install "hf-imgcls[ray]"')
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray

    return ray


@contextlib.contextmanager
def open_cluster(address: str | None) -> Iterator[Cluster]:
    """The cluster at an address (`host:port`, `auto`), else that of RAY_ADDRESS, else one started here.

    One that this process has opened already is used as it is, and stays.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield _resources(ray)
        return
    address = address or os.environ.get("RAY_ADDRESS") or _HERE
    if address != _HERE:
        _check_answers(address)
    handlers = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    try:
        try:
            _connect(ray, address)
        finally:
            _put_back(handlers)
        yield _resources(ray)
    finally:
        ray.shutdown()


def describe_actors(actors: int, resources: Mapping[str, int], cluster: Cluster) -> str:
    """What predicts, in a line."""
    has = "a GPU" if resources.get("num_gpus") else plural(resources["num_cpus"], "CPU")
    each = " each" if actors > 1 else ""
    return f"ray: {plural(actors, 'actor')} with {has}{each}, on {plural(cluster.machines, 'machine')}"


def _connect(ray, address: str) -> None:
    here = {"include_dashboard": False, "object_store_memory": _STORE} if address == _HERE else {}
    try:
        with _silent():
            ray.init(address, log_to_driver=False, logging_level="ERROR", **here)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        why = one_line(str(error), 160)
        if here:
            raise MachineError(f"--on ray: Ray does not start on this machine: {why}") from None
        raise InputError(f"--ray-address {address}: {why}") from None


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without what compiled code writes to standard error: Ray reports there that it was told to be quiet."""
    with open(os.devnull, "w") as nobody:
        error = os.dup(2)
        os.dup2(nobody.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(error, 2)
            os.close(error)


def _check_answers(address: str) -> None:
    """Refuse what is no address, or does not answer: Ray itself would try for a minute, and say a lot."""
    if address == "auto":
        return
    if "://" in address:
        raise InputError(
            f"--ray-address {address}: expected host:port of a cluster that this machine belongs to; "
            "from outside of it: ray job submit -- hf-imgcls predict ..."
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"--ray-address {address}: expected host:port, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"--ray-address {address}: no answer ({one_line(str(error), 100)}); start a cluster there "
            "(ray start --head), or leave it out to use this machine"
        ) from None


def _put_back(handlers: dict) -> None:
    """Ray takes SIGTERM for itself."""
    with contextlib.suppress(ValueError):  # not in the main thread, where none was taken either
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)


def _resources(ray) -> Cluster:
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [int(each["CPU"]) for each in alive if each.get("CPU", 0) >= 1]
    if not cpus:
        raise InputError("--on ray: the cluster has no CPU; ask for machines with some")
    gpus = [int(each.get("GPU", 0)) for each in alive]
    return Cluster(len(cpus), sum(cpus), min(cpus), sum(gpus), max(gpus))
