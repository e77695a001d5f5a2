"""Importing is cheap, and the house has its doors where the plan says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import integrity

ROOT = Path(integrity.__file__).parent
#: What opens into a later room when it is called, and says so in CONTRIBUTING.
DOORS = {("result", "report")}


def test_import_loads_nothing_that_is_not_used() -> None:
    code = "import sys, integrity; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {
        "pandas",
        "sqlalchemy",
        "fsspec",
        "rich",
        "click",
        "great_expectations",
        "duckdb",
        "hypothesis",
        "babel",
        "jinja2",
        "matplotlib",
        "scipy",
    }
    assert "polars" in loaded


def test_imports_go_one_way() -> None:
    """The order of rooms in CONTRIBUTING is the order of imports."""
    told = (ROOT.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    listing = re.search(r"^    errors →.*?(?=\n\n)", told, re.MULTILINE | re.DOTALL)
    assert listing is not None
    groups = [[room.strip() for room in group.split(",")] for group in " ".join(listing[0].split()).split("→")]
    rank = {room: place for place, group in enumerate(groups) for room in group}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        room = parts[0]
        if room in ("__init__", "__main__"):
            continue
        assert room in rank, f"{room} has no place in CONTRIBUTING"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("integrity"):
                names = (
                    [node.module] if node.module != "integrity" else [f"integrity.{alias.name}" for alias in node.names]
                )
                for target in (name.split(".")[1] for name in names if "." in name):
                    inward = rank[target] < rank[room] or target == room
                    assert inward or (room, target) in DOORS, f"{room} imports {target}"


def test_no_expression_calls_back() -> None:
    """Polars runs such functions in threads of its own, where they wait for whoever holds the interpreter's lock."""
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                back = re.fullmatch(r"map_(elements|batches|groups|rows|columns)|rolling_map|defer", node.attr)
                assert back is None, f"{path.relative_to(ROOT)}, line {node.lineno}: {node.attr}"


def test_every_public_name_is_there_and_documented() -> None:
    for name in integrity.__all__:
        assert getattr(integrity, name).__doc__, name


def test_no_error_of_ours_is_outside_the_family() -> None:
    from integrity import errors

    for name in errors.__all__:
        thing = getattr(errors, name)
        if isinstance(thing, type):
            assert issubclass(thing, integrity.IntegrityError)
            assert thing.exit_code in (2, 4)
