"""In place of matplotlib, in runs whose plots are tested elsewhere."""

from pathlib import Path
from types import SimpleNamespace


class Plots:
    """Of `import_plots`: figures of nothing, whose files are empty."""

    def __init__(self, module: str):
        pass

    def __getattr__(self, name):
        return lambda *arguments: SimpleNamespace(savefig=lambda file, **settings: Path(file).touch())
