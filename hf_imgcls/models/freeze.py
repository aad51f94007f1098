"""Which parameters of a network train, and how the rest of it stays exactly as it is."""

import re
from collections import Counter
from collections.abc import Collection, Iterable

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.models.head import network_name
from hf_imgcls.models.lora import describe_lora, is_update, lora_layers, require_peft
from hf_imgcls.models.lora_targets import head_names
from hf_imgcls.models.patterns import compile_pattern, matching
from hf_imgcls.models.trace import blocks, first_uses, that_affect_logits, trace
from hf_imgcls.recipe import LastBlocks, Lora, Trained
from hf_imgcls.words import listed

_SHOWN = 8


def choose_parameters(model: PreTrainedModel, train: Trained, size: tuple[int, int]) -> list[str]:
    """Names of the parameters that train, in the model's order, from a stage's `train`; a model for LoRA has it."""
    names = [name for name, _ in model.named_parameters()]
    if train == "all":
        return names
    if train == "head":
        chosen = head_names(model)
    elif isinstance(train, Lora):
        chosen = {*head_names(model), *filter(is_update, names)}
    elif isinstance(train, LastBlocks):
        chosen = _last_blocks(model, train, size)
    else:
        chosen = {name for number, pattern in enumerate(train) for name in matching(names, pattern, f"train.{number}")}
    return [name for name in names if name in chosen]


def check_patterns(train: Trained) -> None:
    """Refuse what is no regular expression; which parameters it matches is known with the network alone."""
    if isinstance(train, Lora):
        require_peft()
        for number, pattern in enumerate(
            train.lora.target_modules if isinstance(train.lora.target_modules, list) else ()
        ):
            compile_pattern(pattern, f"train.lora.target_modules.{number}")
    for number, pattern in enumerate(train if isinstance(train, list) else ()):
        compile_pattern(pattern, f"train.{number}")


def _last_blocks(model: PreTrainedModel, train: LastBlocks, size: tuple[int, int]) -> set[str]:
    """The last blocks and everything that is first used after the first of them has begun."""
    if train.last_blocks == "all":
        chosen = {name for name, _ in model.named_parameters()}
        return _without_batch_norms(model, chosen) if train.freeze_batch_norm else chosen
    found, count = blocks(model, size), train.last_blocks
    if count > len(found):
        raise InputError(f"train.last_blocks: found {count}, {network_name(model)} has {len(found)} blocks")
    place = first_uses(model, size)
    begin = min(place[name] for name in found[-count])
    chosen = that_affect_logits(model, [name for name in place if place[name] >= begin], size)
    return _without_batch_norms(model, chosen) if train.freeze_batch_norm else chosen


def _without_batch_norms(model: PreTrainedModel, chosen: set[str]) -> set[str]:
    """With no parameter that trains, `freeze_parameters` keeps their statistics too."""
    norms = [name for name, module in model.named_modules() if isinstance(module, _BatchNorm)]
    left = {name for name in chosen if name.rpartition(".")[0] not in norms}
    if left == chosen:
        raise InputError(
            f"train.freeze_batch_norm: {network_name(model)} has no batch normalization there; leave it out"
        )
    return left


def freeze_parameters(model: PreTrainedModel, names: list[str], size: tuple[int, int]) -> list[nn.Module]:
    """Let exactly the named parameters train.

    Returns:
        Modules to put into evaluation mode after every `model.train()`: there batch normalisation would update its
        statistics and dropout change the features, although no parameter trains. With LoRA those with statistics
        alone: the network learns, so its dropout drops.
    """
    chosen = set(names)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in chosen)
    if all(parameter.requires_grad for parameter in model.parameters()):
        return []
    if lora_layers(model):
        return [module for module in model.modules() if isinstance(module, _BatchNorm)]
    frozen, between = _frozen(model)
    return frozen + _with_the_frozen(between, trace(model, size))


def _frozen(module: nn.Module) -> tuple[list[nn.Module], list[nn.Module]]:
    """The largest modules that have parameters of which none trains, and modules without any beside such and others."""
    trains = {parameter.requires_grad for parameter in module.parameters()}
    if trains == {True}:
        return [], []
    if trains == {False}:
        return [module], []
    if not trains:
        return [], list(module.modules())
    parts = [_frozen(child) for child in module.children()]
    return [each for part in parts for each in part[0]], [each for part in parts for each in part[1]]


def _with_the_frozen(modules: list[nn.Module], met: list[nn.Module | nn.Parameter]) -> list[nn.Module]:
    """Those modules without parameters that belong to what is frozen.

    Dropout goes with what it feeds, as the dropout before a head does; statistics with what they are taken of.
    """
    feeding, taken = _next_trains(reversed(met)), _next_trains(met)
    trains = {module: (taken if any(True for _ in module.buffers()) else feeding).get(module) for module in modules}
    return [module for module in modules if trains[module] is False]


def _next_trains(met: Iterable[nn.Module | nn.Parameter]) -> dict[nn.Module, bool]:
    """For each module: whether the parameter met last before it trains, at any of its calls."""
    trains, last = {}, False
    for each in met:
        if isinstance(each, nn.Parameter):
            last = each.requires_grad
        else:
            trains[each] = trains.get(each, False) or last
    return trains


def describe_parameters(model: nn.Module) -> str:
    """How many parameters train, what fraction of the model's, and which: by name, or by module if there are many."""
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters() if parameter.requires_grad}
    count, everything = sum(sizes.values()), count_parameters(model)
    if count == everything:
        return f"trains all {everything:,} parameters"
    listing = [name for name in sizes if not is_update(name)]
    names = _listed(listing, _SHOWN) if len(listing) <= 4 else describe_modules(model, listing)
    if updates := describe_lora(model):
        names = f"{updates}, and {names}"
    percent = 100 * count / everything
    shown = f"{percent:.2f}" if percent >= 0.01 else f"{percent:.1g}"
    return f"trains {count:,} of {everything:,} parameters ({shown} %): {names}"


def count_parameters(model: nn.Module) -> int:
    """Of the model as it is saved: the updates of LoRA go into its weights."""
    return sum(parameter.numel() for name, parameter in model.named_parameters() if not is_update(name))


def describe_modules(model: nn.Module, names: Collection[str], most: int = _SHOWN) -> str:
    """The largest modules that have the named parameters and no others, in the model's order, by name."""
    every = [name for name, _ in model.named_parameters()]
    total, inside = (Counter(part for name in some for part in _parts(name)) for some in (every, names))
    named = (next(part for part in _parts(name) if inside[part] == total[part]) for name in every if name in names)
    return _listed(list(dict.fromkeys(named)), most)


def _listed(names: list[str], most: int) -> str:
    return listed(names if len(names) <= most else _joined_numbers(names), most)


def _parts(name: str) -> list[str]:
    """`vit`, `vit.layernorm`, `vit.layernorm.bias` of the last of them."""
    ends = [place for place, letter in enumerate(name) if letter == "."]
    return [name[:end] for end in [*ends, len(name)]]


def _joined_numbers(names: list[str]) -> list[str]:
    """Names that differ in their last number alone become one: layers.0-11.norm.bias."""
    runs: dict[tuple[str, str], list[int]] = {}
    for name in names:
        numbered = re.fullmatch(r"(.*?\.)(\d+)((?:\.[^.\d][^.]*)*)", name)
        before, number, after = numbered.groups() if numbered else (name, None, "")
        runs.setdefault((before, after), []).extend([int(number)] if number else [])
    return [f"{before}{_numbers(numbers)}{after}" for (before, after), numbers in runs.items()]


def _numbers(numbers: list[int]) -> str:
    if len(numbers) > 1 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(map(str, numbers))
