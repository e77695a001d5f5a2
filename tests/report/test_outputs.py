"""What other tools read is written by the shell."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.parametrize("option", ["--junit", "--openlineage", "--prometheus"])
def test_the_shell_writes_them(option: str, tmp_path: Path) -> None:
    from integrity.cli import main

    contract = tmp_path / "notes.yaml"
    contract.write_text("name: notes\nversion: 1\nidentity: [id]\n")
    (tmp_path / "a.csv").write_text("id\n1\n")
    with pytest.raises(SystemExit) as ended:
        main(["reconcile", str(contract), f"{tmp_path}/a.csv", f"{tmp_path}/a.csv", option, f"{tmp_path}/out"])
    assert ended.value.code == 0
    assert "notes" in (tmp_path / "out").read_text()
