"""Images read by processes: as by threads, in their order, few at a time."""

import itertools
import os
import signal

import numpy as np
import PIL.Image
import pytest
import torch

from hf_imgcls.errors import MachineError
from hf_imgcls.serving import reading
from hf_imgcls.serving.reading import read_batches
from hf_imgcls.store import as_machine_error


def process(image: PIL.Image.Image) -> torch.Tensor:
    """As a processor that resizes all but narrow images."""
    if image.size == (2, 9):
        raise ValueError("too narrow")
    image = image if image.size == (3, 3) else image.resize((4, 4))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float()


@pytest.fixture
def names(tmp_path, monkeypatch):
    """Files of eleven images: one of another shape, one that the processor rejects, one that is none."""
    monkeypatch.setattr(reading, "_WORTH", 3)
    files = [tmp_path / f"{number:02}.png" for number in range(11)]
    for number, file in enumerate(files):
        PIL.Image.new("RGB", {4: (3, 3), 6: (2, 9)}.get(number, (8, 8)), (20 * number, 0, 0)).save(file)
    (tmp_path / "02.png").write_text("no image")
    return list(map(str, files))


def read(names, *arguments, **kwargs) -> list:
    return [(*row[::2], None if row[1] is None else row[1].tolist())
            for batch in read_batches(process, names, *arguments, **kwargs) for row in batch]  # fmt: skip


@pytest.mark.parametrize("chunk", [1, 4, 20])
def test_processes_read_what_threads_read(chunk, names, monkeypatch):
    used = []
    monkeypatch.setattr(reading, "_processes", lambda process: used.append(process) or reading._Processes(2, chunk))
    by_threads = read(names, 3)
    assert not used
    assert read(names, 3, by_processes=True) == by_threads
    assert len(used) == 1
    unread = [(number, error) for number, (_, error, _) in enumerate(by_threads) if error]
    assert unread == [(2, "not an image, or its header is broken"), (6, "ValueError: too narrow")]


def test_few_images_are_read_by_threads(names, monkeypatch):
    monkeypatch.setattr(reading, "_processes", pytest.fail)
    assert len(read(names[:3], 3, by_processes=True)) == 3


def test_names_are_listed_no_further_than_images_are_read_ahead(names, monkeypatch):
    monkeypatch.setattr(reading, "_processes", lambda process: reading._Processes(2, 1))
    listed = []
    endless = (listed.append(name) or name for name in itertools.cycle(names))
    batches = read_batches(process, endless, 2, by_processes=True)
    assert [name for name, _, _ in next(batches)] == names[:2]
    batches.close()
    assert len(listed) <= 2 + 2 * reading._AHEAD + 2


def test_a_killed_process_is_one_line(names, monkeypatch):
    monkeypatch.setattr(reading, "_processes", lambda process: reading._Processes(2, 1))
    monkeypatch.setattr(reading, "read_source", lambda name, limits: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(MachineError, match="a worker process was killed"), as_machine_error():
        read(names, 2, by_processes=True)


@pytest.mark.parametrize(("cores", "room", "expected"), [(16, 2**40, (15, 27)), (2, 2**40, None), (16, 2**28, None)])
def test_processes_need_cores_and_shared_memory(cores, room, expected, monkeypatch):
    monkeypatch.setattr(reading, "cores_per_process", lambda: cores)
    monkeypatch.setattr(reading, "free_space", lambda place: room)
    monkeypatch.setattr(reading.sys, "platform", "linux")
    assert reading._processes(lambda image: torch.zeros(3, 224, 224)) == expected
