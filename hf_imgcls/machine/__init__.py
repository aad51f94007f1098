"""Where a run takes place: hardware, processes, TrainingArguments on this machine, precision, network."""

from hf_imgcls.machine.arguments import disable_evaluation, training_arguments
from hf_imgcls.machine.cluster import Cluster, describe_actors, import_ray, open_cluster
from hf_imgcls.machine.group import check_same, check_shared
from hf_imgcls.machine.hardware import (
    Machine,
    chosen_settings,
    cores_per_process,
    cpu_trains_in_bf16,
    describe_hardware,
    describe_machine,
    detect_machine,
    exact_float32,
    package_versions,
    readable_precision,
)
from hf_imgcls.machine.memory import PeakMemory, begin_peak, device_peak, free_memory, release_device
from hf_imgcls.machine.network import reach_hub, use_hub
from hf_imgcls.machine.processes import check_launch, limit_progress_bars, on_main, prepare_launch, say, show_progress
from hf_imgcls.machine.signals import Agreement, StopRequest, shield_worker
from hf_imgcls.machine.turns import first_on_machine
