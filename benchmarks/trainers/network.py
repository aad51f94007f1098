"""The network that is trained, for the trainers that take any module."""

from pathlib import Path

import torch
from job import Job


def transformers_network(job: Job) -> torch.nn.Module:
    """As transformers has it, with a new head where the classes are others."""
    from transformers import AutoConfig, AutoModelForImageClassification

    names = {"id2label": dict(enumerate(job.classes)), "label2id": {name: i for i, name in enumerate(job.classes)}}
    if Path(job.network).is_dir():
        return AutoModelForImageClassification.from_pretrained(job.network, ignore_mismatched_sizes=True, **names)
    architecture = job.network.removeprefix("timm/")
    settings = {"architecture": architecture, "pretrained_cfg": {"input_size": [3, job.pixels, job.pixels]}}
    config = AutoConfig.for_model("timm_wrapper", **settings, model_args=_size(architecture, job.pixels), **names)
    return AutoModelForImageClassification.from_config(config)


def plain_network(job: Job) -> torch.nn.Module:
    """From pixels to logits: timm's own where it has the network, else that of transformers."""
    if job.weights:
        import timm

        return timm.create_model(f"local-dir:{job.weights}", pretrained=True, num_classes=len(job.classes))
    if Path(job.network).is_dir():
        return _Logits(transformers_network(job))
    import timm

    architecture = job.network.removeprefix("timm/")
    return timm.create_model(architecture, num_classes=len(job.classes), **_size(architecture, job.pixels))


def _size(architecture: str, pixels: int) -> dict[str, int]:
    return {"img_size": pixels} if "vit" in architecture or "deit" in architecture else {}


class _Logits(torch.nn.Module):
    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network(pixel_values=pixels).logits
