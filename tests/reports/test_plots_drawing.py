"""Figures become files without noise and without a trace of the machine."""

from fresh import run_fresh


def test_matplotlib_is_imported_where_something_is_drawn_and_says_nothing(tmp_path):
    script = f"""
import sys
from pathlib import Path
from hf_imgcls.reports.plots.drawing import import_plots, save
assert "matplotlib" not in sys.modules
save(import_plots("curves").curves([{{"step": 1, "loss": 1.0}}], {{}}), Path({str(tmp_path)!r}), "curves.png")
assert "matplotlib.pyplot" not in sys.modules
"""
    nowhere = tmp_path / "file"  # where no folder for a cache can be made
    nowhere.write_text("")
    done = run_fresh(script, layer="transformers", environment={"MPLCONFIGDIR": str(nowhere)})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "plots" / "curves.png").exists()
