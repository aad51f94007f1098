"""What memory is left, and what a piece of work takes of it."""

import numpy as np
import psutil
import pytest

from hf_imgcls.errors import InputError
from hf_imgcls.machine import PeakMemory, free_memory, memory


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_bounds_what_is_free(tmp_path, version):
    names = ("memory.max", "memory.current", "inactive_file") if version == 2 else memory._GROUPS[1]
    (tmp_path / "memory").mkdir()
    for name, value in zip(names[:2], (1_000_000, 700_000), strict=True):
        (tmp_path / name).write_text(f"{value}\n")
    (tmp_path / names[0]).with_name("memory.stat").write_text(f"cache 5\n{names[2]} 200000\n")
    assert free_memory(tmp_path) == 1_000_000 - (700_000 - 200_000)
    (tmp_path / names[0]).write_text("max\n")
    assert free_memory(tmp_path) == pytest.approx(psutil.virtual_memory().available, rel=0.2)


def test_the_peak_is_seen_though_it_is_given_back():
    with PeakMemory() as watched:
        held = np.ones(10_000_000)
        held += 1
        del held
    assert 75e6 < watched.grown < 200e6


def test_what_cannot_be_measured_is_said(monkeypatch):
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(InputError, match="cannot be measured"), PeakMemory():
        pass
