"""timm: its loader, and a plain loop as its training script has it."""

import itertools

import torch
from job import Job
from network import plain_network
from torch.nn.functional import cross_entropy


def train(job: Job) -> None:
    from timm.data import create_dataset, create_loader

    job.start()
    gpu, device = job.device != "cpu", torch.device(job.device)
    if gpu:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.benchmark = True

    def load(split: str, training: bool):
        rows = create_dataset("", root=str(job.folder), split=split, is_training=training, batch_size=job.batch)
        augmentation = {"color_jitter": 0.0, "hflip": 0.5} if training else {"crop_pct": 224 / 256}
        return create_loader(
            rows, (3, job.pixels, job.pixels), job.batch, is_training=training, use_prefetcher=gpu, mean=job.mean,
            std=job.std, interpolation="bicubic", num_workers=job.workers, device=device, persistent_workers=False,
            **augmentation,
        )  # fmt: skip

    network = plain_network(job)
    kinds = [type(module) for module in network.modules() if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)]
    convolutional = sum(issubclass(kind, torch.nn.Conv2d) for kind in kinds) > len(kinds) / 2
    layout = torch.channels_last if convolutional else torch.contiguous_format
    network = network.to(device, memory_format=layout).train()
    loader, held_out = load("train", True), load("validation", False)
    optimizer = torch.optim.AdamW(network.parameters(), job.learning_rate, weight_decay=0.0, fused=gpu)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 1e-9, total_iters=max(1, job.last_step))
    scaler = torch.amp.GradScaler(device.type, enabled=job.precision == "fp16")

    def forward(images: torch.Tensor) -> torch.Tensor:
        with torch.autocast(device.type, job.half, enabled=job.half is not None):
            return network(images.to(device).contiguous(memory_format=layout))

    @torch.no_grad()
    def evaluate() -> float:
        network.eval()
        found = [(forward(images).argmax(1) == labels.to(device)).sum() for images, labels in held_out]
        network.train()
        return int(sum(found)) / len(held_out.dataset)

    for _ in itertools.count():
        for images, labels in loader:
            loss = cross_entropy(forward(images), labels.to(device))
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            schedule.step()
            if job.stepped(len(labels)):
                job.evaluated(evaluate())


if __name__ == "__main__":
    Job.read().run(train)
