"""Where a run takes place: hardware, processes, TrainingArguments on this machine, precision, network."""

from hf_imgcls.machine.arguments import disable_evaluation, training_arguments
from hf_imgcls.machine.hardware import Machine, chosen_settings, cores_per_process, describe_machine, detect_machine
from hf_imgcls.machine.network import reach_hub, use_hub
from hf_imgcls.machine.precision import exact_float32
from hf_imgcls.machine.processes import (
    check_launch,
    limit_progress_bars,
    on_main,
    prepare_launch,
    say,
    show_progress,
)
from hf_imgcls.machine.versions import describe_hardware, package_versions
