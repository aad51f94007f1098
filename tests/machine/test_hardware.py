"""Defaults for several machines: a recipe without settings, and one with all of them."""

import pytest
import torch
from transformers import TrainingArguments

from hf_imgcls.machine import hardware as machine
from hf_imgcls.machine import processes
from hf_imgcls.machine.arguments import training_arguments
from hf_imgcls.machine.hardware import (
    Machine,
    chosen_settings,
    cores_per_process,
    describe_hardware,
    describe_machine,
    detect_machine,
    exact_float32,
    fill_in_defaults,
    readable_precision,
)
from hf_imgcls.recipe.load import load_recipe

H200 = Machine("cuda", "NVIDIA H200", 16, "bf16", True)
T4 = Machine("cuda", "Tesla T4", 4, "fp16", False)
LAPTOP = Machine("mps", "", 8, None, False)
SERVER = Machine("cpu", "", 2, "bf16", False)
SMALL, LARGE = Machine("cpu", "", 2, None, False), Machine("cpu", "", 32, None, False)


def never() -> bool:
    raise AssertionError("asked about the network where its kind decides nothing")


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        (H200, {"dataloader_num_workers": 15, "bf16": True, "tf32": True, "dataloader_pin_memory": True}),
        (T4, {"dataloader_num_workers": 3, "fp16": True, "dataloader_pin_memory": True}),
        (LAPTOP, {"dataloader_num_workers": 0, "dataloader_pin_memory": False}),
        (SMALL, {"dataloader_num_workers": 0, "dataloader_pin_memory": False}),
        (LARGE, {"dataloader_num_workers": 1, "dataloader_pin_memory": False}),
    ],
)
def test_defaults_fit_the_machine(here, expected, monkeypatch):
    monkeypatch.setattr(machine.sys, "platform", "linux")
    if expected["dataloader_num_workers"]:
        expected |= {"dataloader_prefetch_factor": 4, "dataloader_persistent_workers": True}
    if here.device == "cuda":
        expected |= {"accelerator_config": {"non_blocking": True}, "logging_nan_inf_filter": False}
    assert fill_in_defaults(here, {}, None, never) == expected


def test_a_recipes_values_win_even_if_they_are_defaults():
    given = {
        "dataloader_num_workers": 0, "bf16": False, "tf32": False,
        "dataloader_pin_memory": False, "logging_nan_inf_filter": True, "accelerator_config": {"even_batches": True},
    }  # fmt: skip
    assert fill_in_defaults(H200, given, None, never) == given
    given = {"dataloader_num_workers": 2, "dataloader_prefetch_factor": 1, "dataloader_persistent_workers": False,
            "accelerator_config": {"non_blocking": False, "even_batches": True}, "fp16": True}  # fmt: skip
    made = fill_in_defaults(H200, given, None, never)
    assert {key: made[key] for key in given} == given
    assert "bf16" not in made


@pytest.mark.parametrize("launched", ["no", "fp16", "bf16", "fp8"])
def test_the_launchers_precision_wins_over_the_machines(launched):
    assert not {"fp16", "bf16"} & fill_in_defaults(H200, {}, launched, never).keys()


def test_a_cpu_that_has_bf16_trains_those_networks_in_it_that_are_faster():
    half, plain = (fill_in_defaults(SERVER, {}, None, lambda faster=faster: faster) for faster in (True, False))
    assert (half["bf16"], half["use_cpu"]) == (True, True)
    assert not plain["bf16"]
    assert "use_cpu" not in plain
    assert not fill_in_defaults(SERVER, {"bf16": False}, None, never)["bf16"]
    assert "bf16" not in fill_in_defaults(SERVER, {}, "no", never)
    # TrainingArguments wants use_cpu, which says nothing new where the CPU is all there is.
    assert fill_in_defaults(SERVER, {"bf16": True, "use_cpu": False}, None, never)["use_cpu"]
    assert "use_cpu" not in fill_in_defaults(SMALL, {"bf16": True}, None, never)


def test_the_line_names_the_precision_of_every_stage(tmp_path):
    stages = [TrainingArguments(str(tmp_path), use_cpu=True, bf16=half) for half in (True, False, False)]
    assert ", bf16 then float32, " in describe_machine(chosen_settings(SERVER, stages, channels_last=False))


@pytest.mark.parametrize("sharded", ["fsdp", "deepspeed", "launcher"])
def test_sharded_training_keeps_its_own_precision(sharded, monkeypatch):
    if sharded == "launcher":
        monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    given = {} if sharded == "launcher" else {sharded: {"some": "setting"}}
    assert "bf16" not in fill_in_defaults(H200, given, None, never)


def test_cores_are_divided_among_the_processes_of_a_machine(monkeypatch):
    monkeypatch.setattr(machine.joblib, "cpu_count", lambda only_physical_cores: 4 if only_physical_cores else 8)
    assert (cores_per_process(), cores_per_process(physical=True)) == (8, 4)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert (cores_per_process(), cores_per_process(physical=True)) == (2, 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert cores_per_process() == 1


def test_launched_processes_divide_the_threads_unless_the_user_set_them(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    monkeypatch.setattr(processes, "cores_per_process", lambda physical: 3)
    taken = []
    monkeypatch.setattr(torch, "set_num_threads", taken.append)
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    processes.prepare_launch()
    assert taken == [3]
    # A launcher's own single thread is not the user's setting; the environment before the launcher is.
    given = {}
    monkeypatch.setattr(processes.psutil.Process, "environ", lambda self: given)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    processes.prepare_launch()
    assert taken == [3, 3]
    given["OMP_NUM_THREADS"] = "1"
    processes.prepare_launch()
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    processes.prepare_launch()
    assert taken == [3, 3]


def test_the_settings_of_a_run_are_described_in_one_line(tmp_path):
    arguments = TrainingArguments(
        str(tmp_path), use_cpu=True, dataloader_num_workers=2, dataloader_persistent_workers=True, bf16=True,
        torch_compile=True, torch_compile_backend="eager", accelerator_config={"non_blocking": True},
    )  # fmt: skip
    arguments.dataloader_pin_memory = arguments.tf32 = True  # as on a GPU
    chosen = chosen_settings(H200, [arguments], channels_last=True)
    assert chosen["precision"] == "bf16"
    assert describe_machine({**chosen, "threads": 1}) == (
        "machine: 1 GPU (NVIDIA H200), 16 cores per process, 1 thread, 2 workers per process, prefetch 2, persistent, "
        "pinned memory, non-blocking copies, channels_last, bf16, TF32, fused AdamW, torch.compile (eager)"
    )
    plain = chosen_settings(SMALL, [TrainingArguments(str(tmp_path), use_cpu=True, optim="sgd")], channels_last=False)
    assert (
        describe_machine({**plain, "threads": 2})
        == "machine: CPU, 2 cores per process, 2 threads, no workers, float32, sgd"
    )


def test_a_recipes_arguments_are_completed(tmp_path, monkeypatch):
    monkeypatch.setattr("hf_imgcls.machine.arguments.detect_machine", lambda on_cpu: LARGE)
    content = {"data": {"path": "photos"}, "model": {"checkpoint": "m"}, "training": {"output_dir": str(tmp_path)}}
    made = training_arguments(load_recipe(content).training)
    assert (made.dataloader_num_workers, made.dataloader_prefetch_factor) == (1, 4)
    made = training_arguments(load_recipe(content, ["training.dataloader_num_workers=0"]).training)
    assert (made.dataloader_num_workers, made.dataloader_persistent_workers) == (0, False)


def test_scores_are_exact_on_a_gpu_that_trains_in_tf32():
    backends = (torch.backends, torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)
    before = [backend.fp32_precision for backend in backends]
    try:
        torch.backends.fp32_precision = "tf32"  # what training.tf32 sets
        with exact_float32():
            assert {backend.fp32_precision for backend in backends} == {"ieee"}
            with readable_precision():
                assert torch.backends.cudnn.allow_tf32, "which torch reads in an export"
            assert {backend.fp32_precision for backend in backends} == {"ieee"}
        assert {backend.fp32_precision for backend in backends} == {"tf32"}
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


@pytest.fixture
def fake_gpu(monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H200")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(machine, "is_torch_tf32_available", lambda: True)
    monkeypatch.setattr(machine, "cores_per_process", lambda: 16)


def test_a_gpu_is_found_and_named(fake_gpu, tmp_path, monkeypatch):
    found = detect_machine(on_cpu=False)
    assert found == H200
    chosen = chosen_settings(found, [TrainingArguments(str(tmp_path), use_cpu=True)], channels_last=False)
    assert (chosen["device"], chosen["gpu"]) == ("cuda", "NVIDIA H200")
    assert "1 GPU (NVIDIA H200), 16 cores" in describe_machine(chosen)
    assert describe_hardware(2) == "2 processes, NVIDIA H200 x 2"
    cpu = detect_machine(on_cpu=True)
    assert (cpu.device, cpu.name) == ("cpu", "")
    for capabilities, precision in ({}, None), ({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert detect_machine(on_cpu=True).precision == precision
    assert chosen_settings(cpu, [TrainingArguments(str(tmp_path), use_cpu=True)], channels_last=False)["gpu"] is None


def test_without_a_gpu_the_cores_are_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine.joblib, "cpu_count", lambda: 8)
    assert describe_hardware(1).startswith("1 process, 8 CPU cores (")
