"""Run every notebook over a fresh demo, and put the notebooks beside their scripts as they are committed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from integrity.cli import main
from integrity.notebook import notebooks, run_notebook

HERE = Path(__file__).parent.absolute()
#: Those that read another ledger than that of the days.
QUARTER = ("casework", "quarter", "reperformance")


def execute() -> None:
    """Write the demo and run all of them in a folder of its own, so that nothing of this machine is in what they show."""
    os.environ["INTEGRITY_OPERATOR"] = "scheduler"
    with tempfile.TemporaryDirectory(prefix="acme-") as folder:
        os.chdir(folder)
        try:
            main(["demo", "integrity-demo", "--items", "20000", "--mails", "1000", "--files", "1000"])
        except SystemExit as ended:
            if ended.code:
                raise
        for name in notebooks():
            ledger = f"sqlite:///integrity-demo/{'quarter/' if name in QUARTER else ''}ledger.db"
            shutil.copy(run_notebook(name, ledger, directory="out"), HERE)
        os.chdir(HERE)


if __name__ == "__main__":
    execute()
