"""Measure ourselves against our peers, whole processes, start-up and reading included.

    python benchmarks/run.py                                5 and 20 million rows; writes benchmarks/RESULTS.md
    python benchmarks/run.py --rows 50000 --repeat 1        does it still run? prints only, in less than a minute

Runners take turns (A B C A B C …), so that a machine that slows down slows all of them. Wall time is the parent's
clock around the child; CPU time and peak memory are the kernel's own account of it (``wait4``). Files are read once
before, so that nobody pays for a cold disk. The answer of every run is checked against the list of what was planted:
speed without recall is void. Nothing is asserted about times; a target that is missed is reported as missed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

# Only the standard library here: see check.py.

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
KEPT = "<!-- run.py keeps what is below this line: the section of databases.py, and what is written by hand. -->"
FULL_ROWS, FULL_REPEAT = 5_000_000, 5
#: A runner that needs longer than this is repeated only once.
SLOW_SECONDS = 30
GIVE_UP_SECONDS = 1800
#: Ours exits with 1 on "fail" and 3 on "unverified"; both leave an answer, which is checked.
OUR_CODES = (0, 1, 3)


@dataclass(frozen=True)
class Runner:
    name: str
    label: str
    compares: bool = True


OURS = Runner("ours", "integrity reconcile")
POLARS = Runner("datacompy-polars", "datacompy (Polars)")
PANDAS = Runner("datacompy-pandas", "datacompy (pandas)")
DUCKDB = Runner("duckdb-join", "DuckDB full join, by hand")
READ = Runner("read-only", "reading both files, no more", compares=False)


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    destination: str
    runners: tuple[Runner, ...]
    times_rows: int = 1


CASES = (
    Case("identical", "the same messages, stored in another order", "identical", (OURS, POLARS, DUCKDB, PANDAS, READ)),
    Case("scattered", "0.1 % scattered faults", "scattered", (OURS, POLARS, DUCKDB, PANDAS)),
    Case("lost-batch", "one lost batch", "lost-batch", (OURS, POLARS, DUCKDB, PANDAS)),
    Case("memory", "as identical, four times as many in the same day", "identical", (OURS, READ), times_rows=4),
)


@dataclass(frozen=True)
class Run:
    """One process: what it took, and what it answered."""

    seconds: float
    cpu: float
    peak: int
    equal: bool
    planted: int
    found: int
    wrong: int

    @property
    def right(self) -> bool:
        return self.equal == (self.planted == 0) and self.found == self.planted and self.wrong == 0

    @property
    def answer(self) -> str:
        if self.planted == 0 and self.right:
            return "equal"
        said = "equal" if self.equal else "different"
        return f"{said}; {self.found:,} of {self.planted:,} found, {self.wrong:,} wrong"


@dataclass
class Measured:
    """What one runner did in one case."""

    runner: Runner
    runs: list[Run] = field(default_factory=list)
    problem: str = ""

    def median(self, what: str) -> float:
        return statistics.median(getattr(run, what) for run in self.runs)

    @property
    def usable(self) -> bool:
        return not self.problem and bool(self.runs)

    @property
    def right(self) -> bool:
        return all(run.right for run in self.runs)

    @property
    def answer(self) -> str:
        worst = next((run for run in self.runs if not run.right), self.runs[0])
        return worst.answer if worst.right else f"**WRONG**: {worst.answer}"


Results = dict[str, dict[str, Measured]]


# --- what is needed before --------------------------------------------------------------------------------------------


def peers_environment(folder: Path, pinned: str = "peers.txt") -> tuple[Path, str]:
    """Return the Python of the peers, made now if their pins changed, and what is wrong with it, if anything."""
    pins = (HERE / pinned).read_text(encoding="utf-8")
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    wanted = f"{platform.python_version()}\n{pins}"
    if not (stamp.exists() and stamp.read_text(encoding="utf-8") == wanted):
        say(f"making the environment of {pinned}")
        shutil.rmtree(folder, ignore_errors=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "-r", pinned]
        for step in ([sys.executable, "-m", "venv", str(folder)], pip):
            done = subprocess.run(step, cwd=HERE, capture_output=True, text=True)
            if done.returncode:
                errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("ERROR")]
                return python, "not installed: " + plain(errors[-1] if errors else done.stderr[-300:])
        stamp.write_text(wanted, encoding="utf-8")
    return python, ""


def prepare(data: Path, case: Case, rows: int) -> tuple[Path, Path, Path]:
    """Return source, destination and the list of what was planted; written now if missing, and read once."""
    cases = sorted({other.destination for other in CASES if other.times_rows == case.times_rows})
    code = (HERE / "data.py").read_bytes()
    folder = data / f"{rows * case.times_rows}-{'-'.join(cases)}"
    stamp = folder / "data.py"
    if not (stamp.exists() and stamp.read_bytes() == code):
        say(f"writing {rows * case.times_rows:,} rows: source, {', '.join(cases)}")
        command = [sys.executable, str(HERE / "data.py"), str(folder), str(rows * case.times_rows), *cases]
        subprocess.run(command, check=True)
        stamp.write_bytes(code)
    found = folder / "source.parquet", folder / f"{case.destination}.parquet", folder / f"{case.destination}.csv"
    for path in found:
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass
    return found


# --- measuring --------------------------------------------------------------------------------------------------------


def command(runner: Runner, peer_python: Path, source: Path, destination: Path, answer: Path) -> list[str]:
    if runner is not OURS:
        return [str(peer_python), str(HERE / "peers.py"), runner.name, str(source), str(destination), str(answer)]
    console_script = [sys.executable, "-c", "from integrity.cli import main; main()"]
    asked = ["reconcile", str(HERE / "messages.yaml"), str(source), str(destination), "--json", str(answer)]
    return console_script + asked


def first_to_die() -> None:
    """Let the kernel end this process, not somebody else's, where memory runs out."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def spawn(line: list[str], folder: Path) -> tuple[float, resource.struct_rusage, int, str]:
    """Run one process to its end; return wall seconds, the kernel's account, exit code, and what it last said."""
    with (folder / "log").open("w+", encoding="utf-8", errors="replace") as log:
        started = time.perf_counter()
        child = subprocess.Popen(line, stdout=log, stderr=log, cwd=folder, preexec_fn=first_to_die)
        limit = threading.Timer(GIVE_UP_SECONDS, os.kill, (child.pid, signal.SIGKILL))
        limit.start()
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except KeyboardInterrupt:
            child.kill()
            raise
        finally:
            limit.cancel()
        seconds = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        lines = [text.strip() for text in log if text.strip()]
    return seconds, usage, child.returncode, lines[-1] if lines else "it said nothing"


def run_once(runner: Runner, peer_python: Path, files: tuple[Path, Path, Path]) -> Run | str:
    """Return one measured and checked run, or a sentence about why there is none."""
    source, destination, planted = files
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        answer = Path(scratch) / "answer.json"
        line = command(runner, peer_python, source, destination, answer)
        return judged(line, answer, planted, OUR_CODES if runner is OURS else (0,))


def judged(line: list[str], answer: Path, planted: Path, codes: tuple[int, ...]) -> Run | str:
    """Run one process in the folder of its answer, and compare what it answers with what was planted."""
    seconds, usage, code, last = spawn(line, answer.parent)
    if code == -signal.SIGKILL:
        return f"killed after {seconds:.0f} s" + ("" if seconds > GIVE_UP_SECONDS else ": probably out of memory")
    if code not in codes or not answer.exists():
        return plain(f"exit code {code}: {last}")
    checker = [sys.executable, str(HERE / "check.py"), str(answer), str(planted)]
    done = subprocess.run(checker, capture_output=True, text=True)
    if done.returncode:
        return plain(f"its answer cannot be read: {done.stderr.strip().splitlines()[-1]}")
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Run(seconds, usage.ru_utime + usage.ru_stime, peak, **json.loads(done.stdout))


def measure(case: Case, files: tuple[Path, Path, Path], peers: tuple[Path, str], repeat: int) -> dict[str, Measured]:
    python, problem = peers
    measured = {runner.name: Measured(runner, problem="" if runner is OURS else problem) for runner in case.runners}
    take_turns(case.name, measured, lambda runner: run_once(runner, python, files), repeat)
    return measured


def take_turns(name: str, measured: dict[str, Measured], once: Callable[[Runner], Run | str], repeat: int) -> None:
    """Run each runner once, then each once more, and so on; but not those that cannot, nor slow ones twice."""
    for turn in range(repeat):
        for one in measured.values():
            slow = bool(one.runs) and one.runs[0].seconds > SLOW_SECONDS
            if one.problem or (slow and turn >= 1):
                continue
            run = once(one.runner)
            if isinstance(run, str):
                one.problem = run
                say(f"{name:<22}{turn + 1}/{repeat}  {one.runner.name:<17} {run}")
                continue
            one.runs.append(run)
            answer = ("right" if run.right else f"WRONG: {run.answer}") if one.runner.compares else "-"
            size = f"{run.peak / 2**20:>7,.0f} MiB"
            say(f"{name:<22}{turn + 1}/{repeat}  {one.runner.name:<17} {run.seconds:>7.2f} s {size}  {answer}")


# --- telling ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """A promise of the benchmark: the quotient of two medians, and on which side of a limit it should be."""

    text: str
    what: str
    over: tuple[str, Runner]
    under: tuple[str, Runner]
    limit: float
    at_least: bool

    def row(self, results: Results) -> str:
        above, below = (results.get(case, {}).get(runner.name) for case, runner in (self.over, self.under))
        bound = f"{'at least' if self.at_least else 'at most'} {self.limit:g}"
        verdict = "not measured"
        quotient = "–"
        if above and below and above.usable and below.usable:
            value = above.median(self.what) / below.median(self.what)
            quotient = f"{value:.3g}"
            short = self.limit / value if self.at_least else value / self.limit
            verdict = "met" if short <= 1 else f"**missed** by {short - 1:.1%}"
            wrong = [one.runner.label for one in (above, below) if not one.right]
            if wrong:
                verdict = f"**void**: wrong answer of {' and '.join(wrong)}"
        elif problem := next((one.problem for one in (above, below) if one and one.problem), ""):
            verdict = f"not measured: {problem}"
        return f"| {self.text} | {bound} | {quotient} | {verdict} |"


TARGETS = (
    Target("identical: time of datacompy (Polars) ÷ ours", "seconds",
           over=("identical", POLARS), under=("identical", OURS), limit=3, at_least=True),
    Target("identical: our peak memory ÷ datacompy (Polars)", "peak",
           over=("identical", OURS), under=("identical", POLARS), limit=1 / 8, at_least=False),
    Target("identical: our time ÷ DuckDB full join", "seconds",
           over=("identical", OURS), under=("identical", DUCKDB), limit=2.2, at_least=False),
    Target("0.1 % scattered, same breaks found: time of datacompy (Polars) ÷ ours", "seconds",
           over=("scattered", POLARS), under=("scattered", OURS), limit=2, at_least=True),
    Target("identical: our peak memory at four times the rows ÷ at once", "peak",
           over=("memory", OURS), under=("identical", OURS), limit=1.25, at_least=False),
)  # fmt: skip


def case_table(case: Case, measured: dict[str, Measured], rows: int) -> list[str]:
    ours = measured[OURS.name]
    lines = [
        f"### {case.name}: {case.title}; {rows * case.times_rows:,} × 7",
        "",
        "| | runs | seconds (min–max) | ÷ ours | CPU seconds | peak MiB (min–max) | ÷ ours | answer |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for one in measured.values():
        if not one.usable:
            lines.append(f"| {one.runner.label} | {len(one.runs)} | – | – | – | – | – | {one.problem or 'not run'} |")
            continue
        cells = [one.runner.label, str(len(one.runs))]
        for what, unit, digits in (("seconds", 1, 2), ("cpu", 1, 2), ("peak", 2**20, 0)):
            values = [getattr(run, what) / unit for run in one.runs]
            text = f"{statistics.median(values):,.{digits}f}"
            if what != "cpu":
                text += f" ({min(values):,.{digits}f}–{max(values):,.{digits}f})"
                text += " | " + (f"{one.median(what) / ours.median(what):.2f}" if ours.usable else "–")
            cells.append(text)
        cells.append(one.answer if one.runner.compares else "–")
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def machine(load: float) -> str:
    """Describe the machine: no host name, no paths."""
    model, memory = platform.processor() or platform.machine(), ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields = (line.partition(":") for line in cpuinfo.read_text().splitlines())
        model = next((value.strip() for name, _, value in fields if name.strip() == "model name"), model)
    if "SC_PHYS_PAGES" in os.sysconf_names:
        memory = f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB memory, "
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {usable} cores, {memory}{platform.system()} {platform.machine()}; load average before: {load:.2f}"


_VERSIONS = """
import importlib.metadata, sys
for name in sys.argv[1:]:
    try:
        print(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        pass
"""


def git(*words: str) -> str:
    if shutil.which("git") is None:
        return ""
    return subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True).stdout.strip()


def versions(peers: tuple[Path, str]) -> list[str]:
    """Say what exactly was measured."""
    names = ("datacompy", "polars", "pandas", "duckdb", "pyarrow", "numpy")
    return [
        f"- ours: {ours_installed('polars', 'polars-hash', 'pyarrow')}",
        f"- peers: {peers[1] or installed(peers[0], names)}",
        f"- both: Python {platform.python_version()}",
    ]


def ours_installed(*names: str) -> str:
    commit = git("rev-parse", "--short", "HEAD")
    changed = git("status", "--porcelain", "--", "../integrity", "../pyproject.toml")
    at = (f" at {commit}" + (" with uncommitted changes" if changed else "")) if commit else ""
    own = f"processing-integrity {importlib.metadata.version('processing-integrity')}{at}"
    return f"{own}, {installed(Path(sys.executable), names)}"


def installed(python: Path, names: Sequence[str]) -> str:
    """Return these packages with their versions, as far as that environment has them."""
    found = subprocess.run([str(python), "-c", _VERSIONS, *names], capture_output=True, text=True, check=True)
    return ", ".join(found.stdout.splitlines())


def report(results: Results, rows: int, repeat: int, load: float, peers: tuple[Path, str]) -> str:
    lines = ["# Results", ""]
    if rows != FULL_ROWS or repeat < FULL_REPEAT:
        asked = f"{rows:,} rows, {repeat} runs; the targets are set for {FULL_ROWS:,} rows, {FULL_REPEAT} runs"
        lines += [f"**Not the real thing**: {asked}.", ""]
    lines += [
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, by `benchmarks/run.py`, which says how. Medians of whole processes.",
        "",
        f"- machine: {machine(load)}",
        *versions(peers),
        "",
        "## Targets",
        "",
        "| quotient of medians | target | measured | |",
        "|---|---|--:|---|",
        *(target.row(results) for target in TARGETS),
        "",
        "## Measured",
        "",
        "What was planted is known by item and kind; *found* counts exact agreement, *wrong* what was named besides.",
        f"A runner that takes longer than {SLOW_SECONDS} s is run once.",
        "",
    ]
    for case in CASES:
        if case.name in results:
            lines += case_table(case, results[case.name], rows)
    return "\n".join(lines)


def plain(sentence: str) -> str:
    """Make what another program said fit for a cell of a table that strangers read."""
    return " ".join(sentence.replace(str(HERE), "benchmarks").replace("|", "/").split())[:300]


def write(path: Path, text: str) -> None:
    """Write the results, and keep what a person wrote below them."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(f"{text}\n{KEPT}{old.partition(KEPT)[2] or chr(10)}", encoding="utf-8")


def put(path: Path, section: str, begin: str, end: str) -> None:
    """Put a section where it was, or first in what is kept, and leave the rest of the file as it is."""
    text = path.read_text(encoding="utf-8") if path.exists() else f"# Results\n\n{KEPT}\n"
    before, begun, rest = text.partition(begin)
    if begun:
        _, ended, after = rest.partition(end)
        after = after if ended else rest  # rather twice than lost
    else:
        head, _, after = text.partition(KEPT)
        before, after = f"{head.rstrip()}\n\n{KEPT}\n\n", f"\n{after}"
    path.write_text(f"{before}{begin}\n\n{section}\n{end}{after}", encoding="utf-8")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure ourselves against our peers.")
    option = parser.add_argument
    option("--rows", type=int, default=FULL_ROWS, help="rows of a side; the case 'memory' has four times as many")
    option("--repeat", type=int, default=FULL_REPEAT, help="runs of each runner")
    option("--only", choices=[case.name for case in CASES], action="append", help="this case; may be repeated")
    option("--data", type=Path, default=HERE / ".data", help="where the data is kept (about 1.5 GB)")
    option("--peers", type=Path, default=HERE / ".peers", help="where the peers' environments are kept (about 0.6 GB)")
    option("--prepare", action="store_true", help="make the peers' environment and the data, measure nothing")
    option("--results", type=Path, help="write the results here; a full run writes RESULTS.md if this is left out")
    asked = parser.parse_args()
    chosen = [case for case in CASES if not asked.only or case.name in asked.only]
    peers = peers_environment(asked.peers.resolve() / "datacompy")
    if peers[1]:
        say(f"peers {peers[1]}")
    prepared = {case.name: prepare(asked.data.resolve(), case, asked.rows) for case in chosen}
    if asked.prepare:
        return
    load = os.getloadavg()[0]
    results = {case.name: measure(case, prepared[case.name], peers, asked.repeat) for case in chosen}
    text = report(results, asked.rows, asked.repeat, load, peers)
    print(text)
    full = len(chosen) == len(CASES) and asked.rows == FULL_ROWS and asked.repeat >= FULL_REPEAT
    if asked.results or full:
        write(asked.results or RESULTS, text)


if __name__ == "__main__":
    main()
