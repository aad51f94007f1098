"""What one process computes while the others wait."""

from launches import TORCHRUN, launch

from hf_imgcls.machine import first_on_machine


def test_the_others_wait_longer_than_a_collective_operation_and_meet_the_errors_of_the_first():
    done = launch(TORCHRUN, "tests/turns_of_two.py")
    assert done.returncode == 0, done.stderr
    *errors, seconds = done.stdout.splitlines()
    assert errors == [
        "['InputError: data: no images', 'InputError: data: no images']",
        "['ValueError: a bug', 'ProcessError: the first process failed while it reads the images (ValueError)']",
    ]
    assert 2 <= float(seconds.split()[2]) < 60
    waiting = "waiting for the first process of this machine, which reads the images (0 minutes so far)"
    assert done.stderr.count(waiting) == 1


def test_a_process_alone_goes_first():
    with first_on_machine("reads the images"):
        gone = True
    assert gone
