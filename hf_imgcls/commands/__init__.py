"""The commands: each module owns its options and imports what it needs when it runs; its docstring is its help."""

from hf_imgcls.commands import (
    average,
    benchmark,
    cache,
    check,
    compare,
    demo,
    describe,
    embed,
    evaluate,
    export,
    find_batch_size,
    find_lr,
    fit,
    init,
    inspect,
    predict,
    push,
    recipes,
    runs,
    similar,
    train,
    tune,
)
from hf_imgcls.commands.command_line import parse
from hf_imgcls.commands.ending import Ending

_LISTED = (
    fit,
    init,
    recipes,
    inspect,
    train,
    check,
    describe,
    find_lr,
    find_batch_size,
    tune,
    benchmark,
    runs,
    compare,
    evaluate,
    average,
    push,
    predict,
    embed,
    similar,
    demo,
    export,
    cache,
)
COMMANDS = {module.__name__.rpartition(".")[2].replace("_", "-"): module for module in _LISTED}
