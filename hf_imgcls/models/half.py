"""Whether a network is faster in bfloat16 on a CPU that has it: decided by its operations alone."""

from transformers import PreTrainedModel

from hf_imgcls.models.layers import count_operations

# What was measured (benchmarks/bf16_on_cpu.py) lies on both sides of these; docs/training.md has the ratios.
_MACS = 100e6  # of an image: below, casting weights and activations takes what is gained
_MACS_PER_VALUE = 100  # for each value that a layer puts out: below, passes over memory do, above all backward


def faster_in_half(model: PreTrainedModel, size: tuple[int, int], training: bool) -> bool:
    """Whether training, or else a forward pass alone, takes less time in bfloat16 than in float32.

    Depthwise convolutions gain forward alone (MobileNet, EfficientNet), networks for tiny images not at all.
    """
    macs, values = count_operations(model, size)
    return macs >= _MACS and (not training or macs >= _MACS_PER_VALUE * values)
