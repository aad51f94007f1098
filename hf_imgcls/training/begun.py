"""What a run's result depends on beside its recipe and its data, for `begun.json`."""

import json
import os
from collections.abc import Sequence
from typing import Any

import torch
from accelerate.utils import str_to_bool
from transformers import TrainingArguments

from hf_imgcls.data import Data
from hf_imgcls.images import EvalTransform
from hf_imgcls.machine import package_versions
from hf_imgcls.training.plan import Plan

_PROCESSOR = (
    "size", "crop_size", "crop_pct", "resample", "do_resize", "do_center_crop", "do_rescale", "do_normalize",
    "rescale_factor", "image_mean", "image_std", "data_config", "do_pad", "min_size",
)  # fmt: skip


def settings_of(plans: Sequence[Plan], data: Data, scoring: EvalTransform, works_with: dict[str, Any]) -> dict:
    """What changes the result: how the machine computes, what the checkpoint and Python bring.

    Args:
        works_with: `chosen_settings` of the machine.
    """
    custom, processor = plans[0].custom, scoring.processor.to_dict()
    loss = custom.loss and getattr(custom.loss, "__qualname__", type(custom.loss).__name__)
    found = {
        "processes": works_with["processes"],
        "device": works_with["device"],
        "channels_last": works_with["channels_last"],
        "each_stage": [_stage_settings(plan.arguments, streamed=not data.fingerprints) for plan in plans],
        "labels": dict(zip(data.labels, scoring.label_ids, strict=True)),
        "image_processor": {key: processor[key] for key in _PROCESSOR if key in processor},
        "teachers": [plan.teacher.digest for plan in plans if plan.teacher],
        "own": {"loss": loss, "metrics": sorted(custom.metrics)},
    }
    return json.loads(json.dumps(found))  # of tuples lists, as they will be read again


def _stage_settings(arguments: TrainingArguments, streamed: bool) -> dict[str, Any]:
    """Of TrainingArguments as they are on this machine; workers share a stream among them."""
    accumulated = arguments.gradient_accumulation_steps
    launched = [os.environ.get(f"ACCELERATE_USE_{name}", "false") for name in ("FSDP", "DEEPSPEED")]
    return {
        "precision": {"no": "float32"}.get(arguments.mixed_precision, arguments.mixed_precision),
        "tf32": bool(arguments.tf32),
        "optimizer": str(arguments.optim.value),
        "compile": arguments.torch_compile_backend if arguments.torch_compile else None,
        "gradient accumulation": accumulated,
        "images per step": arguments.train_batch_size * arguments.world_size * accumulated,
        "sharded": bool(arguments.fsdp or arguments.deepspeed) or any(map(str_to_bool, launched)),
        **({"workers of the stream": arguments.dataloader_num_workers} if streamed else {}),
    }


def last_digits_of(works_with: dict[str, Any]) -> dict[str, Any]:
    """What changes the order of floating-point sums, or a detail of a library, and so the last digits."""
    return {
        "run": {"threads": torch.get_num_threads(), "GPU": works_with["gpu"]},
        "versions": package_versions(),
    }
