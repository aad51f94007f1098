"""Finding a Ray cluster, without starting one."""

import signal
import socket
from types import SimpleNamespace

import pytest

from hf_imgcls.errors import InputError, MachineError
from hf_imgcls.machine import cluster
from hf_imgcls.machine.cluster import Cluster, open_cluster


class Ray(SimpleNamespace):
    """As the library: takes SIGTERM for itself, and may fail."""

    exceptions = SimpleNamespace(RayError=KeyError)

    def init(self, address, **settings):
        self.address, self.settings = address, settings
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self.error:
            raise self.error

    def is_initialized(self):
        return self.open

    def nodes(self):
        machines = [{"CPU": 8.0, "GPU": 2.0}, {"CPU": 4.0}, {"memory": 1.0}]
        gone = {"Alive": False, "Resources": {"CPU": 64.0}}
        return [*({"Alive": True, "Resources": each} for each in machines), gone]

    def shutdown(self):
        self.closed += 1


@pytest.fixture
def ray(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    found = Ray(error=None, open=False, closed=0)
    monkeypatch.setattr(cluster, "import_ray", lambda: found)
    return found


def test_a_cluster_of_this_machine_ends_with_the_command_and_leaves_signals_alone(ray, monkeypatch):
    before = signal.getsignal(signal.SIGTERM)
    with open_cluster(None) as found:
        assert found == Cluster(2, 12, 4, 2, 2)
        assert signal.getsignal(signal.SIGTERM) == before
        assert ray.closed == 0
    assert (ray.address, ray.closed) == ("local", 1)
    assert ray.settings["include_dashboard"] is ray.settings["log_to_driver"] is False
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    with open_cluster(None):
        assert ray.address == "auto"
        assert "include_dashboard" not in ray.settings
    ray.open = True
    with open_cluster(None):
        pass
    assert ray.closed == 2, "one that was open stays"


def test_what_ray_raises_is_one_line_and_signals_are_left_alone(ray):
    before = signal.getsignal(signal.SIGTERM)
    ray.error = ConnectionError("could not\nfind anything")
    with pytest.raises(InputError, match=r"^--ray-address auto: could not find anything$"), open_cluster("auto"):
        pass
    ray.error = RuntimeError("no room")
    with pytest.raises(MachineError, match=r"^--on ray: Ray does not start on this machine: no room$"):
        open_cluster(None).__enter__()
    assert signal.getsignal(signal.SIGTERM) == before != signal.SIG_IGN


def test_an_address_that_is_none_or_does_not_answer_is_refused_at_once(ray):
    with socket.socket() as door:  # bound, and nobody listens
        door.bind(("127.0.0.1", 0))
        silent = f"127.0.0.1:{door.getsockname()[1]}"
        for address, line in {
            silent: f"--ray-address {silent}: no answer .*ray start --head",
            "ray://127.0.0.1:10001": "expected host:port of a cluster that this machine belongs to",
            "127.0.0.1": "expected host:port, or auto",
            "127.0.0.1:99999": "no answer",
        }.items():
            with pytest.raises(InputError, match=line), open_cluster(address):
                pass
    assert not hasattr(ray, "address")
