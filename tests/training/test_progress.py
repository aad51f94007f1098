import pytest

from hf_imgcls.errors import RestoreError
from hf_imgcls.training.progress import Progress


class Counter:
    def __init__(self, value: int):
        self.value = value

    def state(self) -> dict:
        return {"value": self.value}

    def restore(self, saved: dict) -> None:
        self.value = saved["value"]


def make(**parts: Counter) -> Progress:
    progress = Progress()
    for name, part in parts.items():
        progress.add(name, part, changes_weights=name == "position")
    return progress


def test_each_process_goes_on_with_its_own_parts(tmp_path):
    for rank in (0, 1):
        make(loss=Counter(10 + rank), position=Counter(20 + rank)).save(tmp_path, rank)
    loss, position = Counter(0), Counter(0)
    make(loss=loss, position=position).restore(tmp_path, 1, 2)
    assert (loss.value, position.value) == (11, 21)


def test_a_part_that_a_checkpoint_lacks_is_refused(tmp_path):
    make(position=Counter(1)).save(tmp_path, 0)
    with pytest.raises(RestoreError, match="lacks the loss of process 0"):
        make(position=Counter(0), loss=Counter(0)).restore(tmp_path, 0, 1)


@pytest.mark.parametrize("processes", [0, 2])
def test_without_the_parts_of_every_process_only_what_changes_no_weights_begins_anew(tmp_path, processes):
    for rank in range(processes):
        make(loss=Counter(1), position=Counter(1)).save(tmp_path, rank)
    loss = Counter(0)
    make(loss=loss).restore(tmp_path, 0, 1)
    assert loss.value == 0
    with pytest.raises(RestoreError, match="lacks the position"):
        make(loss=loss, position=Counter(0)).restore(tmp_path, 0, 1)
