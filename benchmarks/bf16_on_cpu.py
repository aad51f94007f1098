"""Training steps and forward passes in bfloat16 against float32 on a CPU, for several kinds of network.

    python benchmarks/bf16_on_cpu.py --threads 1 --rounds 5 [--network NAME ...]

Random weights, AdamW, the layout that a run has; both precisions in turn, medians of the rounds. With one thread the
clock is that of the process, so that other work on the machine disturbs less. Beside the rates stand the two numbers by
which a run decides: multiply-accumulates of an image, and those for each value that a layer puts out.
"""

import argparse
import statistics
import time

import torch
import transformers
from transformers import AutoModelForImageClassification

from hf_imgcls.models import channels_last, faster_in_half
from hf_imgcls.models.convnet import ConvNetConfig
from hf_imgcls.models.layers import count_operations
from hf_imgcls.models.mini_xception import MiniXceptionConfig

TINY = {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768}


def timm(name: str, **settings) -> transformers.PreTrainedConfig:
    return transformers.TimmWrapperConfig(architecture=name, num_labels=10, **settings)


def resnet(depths: list[int], widths: list[int], layer: str = "basic", stem: int = 64) -> transformers.ResNetConfig:
    return transformers.ResNetConfig(depths=depths, hidden_sizes=widths, layer_type=layer, embedding_size=stem)


# configuration, side of the image, batch size
NETWORKS = {
    "DeiT-tiny": (lambda: transformers.ViTConfig(**TINY), 224, 16),
    "DINOv3 ViT-S": (lambda: timm("vit_small_patch16_dinov3", model_args={"img_size": 224}), 224, 8),
    "Swin-T": (transformers.SwinConfig, 224, 8),
    "ConvNeXt-Nano": (lambda: timm("convnext_nano"), 224, 8),
    "ResNet-18": (lambda: resnet([2, 2, 2, 2], [64, 128, 256, 512]), 224, 16),
    "ResNet-50": (lambda: resnet([3, 4, 6, 3], [256, 512, 1024, 2048], "bottleneck"), 224, 8),
    "convnet": (lambda: ConvNetConfig(image_size=180), 180, 16),
    "mini_xception": (lambda: MiniXceptionConfig(image_size=180), 180, 16),
    "MobileNetV2": (transformers.MobileNetV2Config, 224, 16),
    "MobileNetV3": (lambda: timm("mobilenetv3_large_100"), 224, 16),
    "EfficientNet-B0": (lambda: timm("efficientnet_b0"), 224, 16),
    "MobileNetV1 0.25": (lambda: transformers.MobileNetV1Config(depth_multiplier=0.25, image_size=128), 128, 16),
    "small ResNet": (lambda: resnet([1, 1, 1], [32, 64, 128], stem=32), 28, 64),
    "small ViT": (
        lambda: transformers.ViTConfig(
            image_size=28,
            patch_size=7,
            hidden_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=128,
        ),
        28,
        64,
    ),
}


def measure(name: str, clock, rounds: int) -> None:
    configuration, side, batch = NETWORKS[name]
    torch.manual_seed(0)
    model = AutoModelForImageClassification.from_config(configuration())
    pixels, labels = torch.randn(batch, 3, side, side), torch.randint(0, 2, (batch,))
    if channels_last(model, (side, side)):
        pixels = pixels.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-5, fused=True)

    def train(half: bool) -> None:
        model.train()
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits = model(pixel_values=pixels)["logits"]
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    def compute(half: bool) -> None:
        model.eval()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            model(pixel_values=pixels)

    macs, values = count_operations(model, (side, side))
    print(f"{name}: {macs / 1e6:.0f} M multiply-accumulates, {macs / values:.0f} for each value", flush=True)
    for what, function in {"training": train, "forward": compute}.items():
        rates: dict[bool, list[float]] = {False: [], True: []}
        function(half=False)
        function(half=True)
        begun = clock()
        function(half=False)
        times = max(1, round(0.5 / (clock() - begun)))
        for number in range(rounds):
            for half in (False, True) if number % 2 else (True, False):
                begun = clock()
                for _ in range(times):
                    function(half=half)
                rates[half].append(batch * times / (clock() - begun))
        ratio = statistics.median(half / full for full, half in zip(rates[False], rates[True], strict=True))
        chosen = "bf16" if faster_in_half(model, (side, side), training=what == "training") else "float32"
        full, half = (statistics.median(each) for each in rates.values())
        print(
            f"  {what}: float32 {full:.1f}, bf16 {half:.1f} images/s, {ratio:.2f} times; a run takes {chosen}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--network", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.network:
        measure(name, time.process_time if options.threads == 1 else time.perf_counter, options.rounds)


if __name__ == "__main__":
    main()
