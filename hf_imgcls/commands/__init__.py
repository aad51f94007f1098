"""The commands: each module owns its options and imports what it needs when it runs."""

from hf_imgcls.commands import benchmark, cache, check, demo, evaluate, export, predict, push, recipes, train

COMMANDS = {
    "recipes": recipes,
    "train": train,
    "check": check,
    "benchmark": benchmark,
    "evaluate": evaluate,
    "push": push,
    "predict": predict,
    "demo": demo,
    "export": export,
    "cache": cache,
}
