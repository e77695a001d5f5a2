"""What is installed from the wheel works without the checkout, the tests, or a developer's tools."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)], check=True, capture_output=True
    )
    (built,) = out.glob("*.whl")
    return built


def test_the_contracts_are_inside(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "integrity/expectations/message.yaml" in names
    assert "integrity/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"integrity"}


def test_the_command_line_runs_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, which shares with this one only what others wrote."""
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (site,) = (tmp_path / "env" / "lib").glob("*/site-packages")
    (site / "others.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(python), "-m", "integrity", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=300)

    where = [str(python), "-c", "import integrity; print(integrity.__file__)"]
    assert str(site) in subprocess.run(where, cwd=tmp_path, env=clean, capture_output=True, text=True).stdout
    assert run("--version").stdout.startswith("integrity, version ")
    assert run("contract", "check", "message").returncode == 0
    demo = run("demo", "day", "--day", "message", "--items", "2000")
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "wrongly accused 0" in demo.stdout
    made = run("ledger", "init", "--ledger", "ledger.db")
    assert made.returncode == 0, made.stderr  # its migrations are inside


def test_whatever_is_imported_is_declared() -> None:
    """By the core, or by an extra whose absence is said in a sentence."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: wanted for name, wanted in project["optional-dependencies"].items() if name != "dev"}
    said = [*project["dependencies"], *(each for wanted in extras.values() for each in wanted)]
    declared = {re.split(r"[<>=\[ ]", each)[0].lower().replace("_", "-") for each in said}
    brought_by = importlib.metadata.packages_distributions()
    for path in (ROOT / "integrity").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for top in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"integrity"}:
                brought = {each.lower().replace("_", "-") for each in brought_by.get(top, [top])}
                assert brought & (declared | _CARRIED), f"{path.name} imports {top}, which nothing declares"


#: Parts of what is declared: s3fs brings botocore, ADBC's driver its manager, PyMySQL's is imported by its own name;
#: Jinja2 brings its markup, papermill what notebooks are written in and run by.
_CARRIED = {
    "botocore", "aiobotocore", "adbc-driver-manager", "pydantic-core", "pkg-resources",
    "markupsafe", "jupyter-client", "nbformat", "traitlets",
}  # fmt: skip
