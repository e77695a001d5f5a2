"""A file is whole, or it is the older one: wherever a result is written to."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import integrity
from integrity.cli import main
from integrity.errors import IntegrityError
from integrity.jobs import outputs_of
from integrity.ledger.recorded import recorded
from integrity.writing import atomically, write_atomically
from tests.disks import full_after

NOTES = integrity.Contract(name="notes", version=1, identity=["id"])
SAID = r"^cannot write .*: [^;]+; name a writable place$"


def test_a_reader_never_sees_half_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "integrity.prom"
    path.write_text("old")
    seen: list[tuple[str, ...]] = []
    rename = Path.replace

    def watched(self: Path, target: Path) -> Path:
        seen.append((self.read_text(), Path(target).read_text(), *(p.name for p in tmp_path.glob("*.prom"))))
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    write_atomically(path, "new\n")
    assert seen == [("new\n", "old", "integrity.prom")]
    assert path.read_bytes() == b"new\n"
    assert [p.name for p in tmp_path.iterdir()] == ["integrity.prom"]


def test_text_that_is_no_unicode_is_written_as_json_writes_it(tmp_path: Path) -> None:
    write_atomically(tmp_path / "event.json", '"a\udcff안"')
    assert (tmp_path / "event.json").read_bytes() == '"a\\udcff안"'.encode()


def test_what_goes_wrong_in_between_leaves_the_older_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomically(path) as file:
        file.write(b"new")
        _ = 1 // 0
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_link_and_the_permissions_of_an_older_file_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "real", tmp_path / "link"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """A pipe, or where a shell reads: ``--json /dev/stdout``."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(pipe, "new")
    assert os.read(reading, 10) == b"new"
    os.close(reading)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write_atomically("/dev/null", "new")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


# --- everything that is written


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> integrity.Result:
    url = f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db"
    sent = pl.DataFrame({"id": [str(n) for n in range(20_000)]})
    found = integrity.reconcile(NOTES, sent, sent[:-12_000], ledger=url)
    object.__setattr__(found, "url", url)
    return found


def _ended(words: list[str]) -> None:
    """Call the command line as a program would, and raise what it says."""
    from integrity.cli import cli

    cli.main(words, standalone_mode=False)


def _written(result: integrity.Result, pipeline: str, **outputs: str) -> None:
    lacking = outputs_of(result, pipeline, **outputs)
    if lacking is not None:
        raise lacking


WRITERS: dict[str, Callable[[Any, Any], object]] = {
    "json": lambda result, path: result.to_json(path),
    "html": lambda result, path: result.to_html(path),
    "junit": lambda result, path: _written(result, "notes", junit=path),
    "openlineage": lambda result, path: _written(result, "notes", openlineage=path),
    "prometheus": lambda result, path: _written(result, "notes", prometheus=path),
    "recorded": lambda result, path: recorded(result.url).to_html(path),
    "ledger report": lambda result, path: _ended(["ledger", "report", "--ledger", result.url, "--html", str(path)]),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_where_there_is_no_room_the_older_file_stays(kind: str, result: Any, tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("old")
    with full_after(256), pytest.raises(IntegrityError, match=SAID):
        WRITERS[kind](result, path)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["kept"]
    with pytest.raises(IntegrityError, match="No space left"):
        WRITERS[kind](result, "/dev/full")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def unwritable(folder: Path) -> Iterator[Path]:
    yield folder / "absent" / "x.prom"
    (folder / "folder.prom").mkdir()
    yield folder / "folder.prom"
    yield folder / "a\0b.prom"
    yield Path("/")
    yield folder / ("x" * 300)


@pytest.mark.parametrize("kind", WRITERS)
def test_what_cannot_be_written_is_a_sentence_and_leaves_nothing(kind: str, result: Any, tmp_path: Path) -> None:
    for path in unwritable(tmp_path):
        if kind == "ledger report" and "\0" in str(path):
            continue  # no shell gives it
        with pytest.raises(
            IntegrityError, match=f"{SAID}|is a folder; name|names no file; name|there is no folder .*; make"
        ):
            WRITERS[kind](result, path)
    assert [each.name for each in tmp_path.iterdir()] == ["folder.prom"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
@pytest.mark.parametrize("kind", WRITERS)
def test_what_may_not_be_written_is_not_replaced(kind: str, result: Any, tmp_path: Path) -> None:
    path = tmp_path / "kept"
    path.write_text("old")
    path.chmod(0o444)
    with pytest.raises(IntegrityError, match="Permission denied"):
        WRITERS[kind](result, path)
    path.chmod(0o644)
    tmp_path.chmod(0o555)
    with pytest.raises(IntegrityError, match="Permission denied"):
        WRITERS[kind](result, path)
    tmp_path.chmod(0o755)
    assert path.read_text() == "old"


def test_json_and_its_breaks_change_together(result: Any, tmp_path: Path) -> None:
    """Beyond so many breaks there are two files: where one cannot be written, neither is."""
    path, beside = tmp_path / "r.json", tmp_path / "r.breaks.jsonl"
    for each in (path, beside):
        each.write_text("old")
    with full_after(len(result.to_json()) - 64), pytest.raises(IntegrityError, match=SAID):
        result.to_json(path)  # there would be room for the breaks
    assert (path.read_text(), beside.read_text()) == ("old", "old")
    beside.unlink()
    beside.mkdir()
    with pytest.raises(IntegrityError, match=SAID):
        result.to_json(path)
    assert path.read_text() == "old"
    beside.rmdir()
    result.to_json(path)
    assert json.loads(path.read_text())["breaks_file"] == beside.name
    assert len(beside.read_text().splitlines()) == 12_000
    assert sorted(each.name for each in tmp_path.iterdir()) == [beside.name, path.name]


def test_the_report_of_a_pack_is_written_so_too(
    result: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from integrity.packs import export

    pack, path = export(result.url, tmp_path / "pack"), tmp_path / "kept"
    path.write_text("old")
    with full_after(256), pytest.raises(SystemExit) as left:
        main(["report", str(pack), "--html", str(path)])
    assert left.value.code == 4
    assert "cannot write" in capsys.readouterr().err
    assert path.read_text() == "old"
