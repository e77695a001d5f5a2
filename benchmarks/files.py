"""How fast are files hashed and compared, and what does it cost?

    python benchmarks/files.py                            4 GiB and a hundred thousand tiny files; writes RESULTS.md
    python benchmarks/files.py --mib 200 --tiny 2000      does it still run? prints only

Whole processes, in turns, on files that are in the page cache: then it is the hashing that is timed, and not the disk.
The peers verify the very manifest that we reconcile: sha256sum (one process a core, by xargs), hashdeep -j2 and bagit's
own command with two processes. What is not installed is left out, and said.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import run
from run import HERE, OUR_CODES, RESULTS, say

BEGIN, END = "<!-- files.py writes from here … -->", "<!-- … to here, files. -->"
FULL_MIB, FULL_TINY, FULL_REPEAT = 4096, 100_000, 5
MIB = 2**20


def grow(folder: Path, mib: int) -> int:
    """Write a mix of sizes: half of the octets in large files, a third in medium ones, the rest in small ones."""
    chance, count = random.Random(7), 0
    for share, size in ((0.5, 256 * MIB), (0.35, 4 * MIB), (0.15, MIB // 8)):
        for _ in range(max(1, int(mib * MIB * share) // size)):
            path = folder / f"d{count % 37:02d}" / f"f{count:06d}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            block = chance.randbytes(min(size, 4 * MIB))
            with path.open("wb") as file:
                for at in range(0, size, len(block)):
                    file.write(at.to_bytes(8) + block[8:])
            count += 1
    return count


def grow_tiny(folder: Path, count: int) -> None:
    """Write tiny files, a thousand to a folder."""
    chance = random.Random(8)
    for number in range(count):
        path = folder / f"d{number // 1000:03d}" / f"f{number % 1000:04d}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randint(10, 3000)))


def measured(work: Mapping[str, list[str]], base: str, repeat: int, folder: Path) -> list[str]:
    """Run the commands in turns; return lines of a table, as quotients of one of them."""
    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in work}
    for turn in range(repeat):
        for name, line in work.items():
            seconds, usage, code, last = run.spawn(line, folder)
            if code not in ((0,) if "integrity" not in name else OUR_CODES) or (code and "integrity" in name):
                raise SystemExit(f"{name}: exit code {code}: {last}")
            peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / MIB
            runs[name].append((seconds, usage.ru_utime + usage.ru_stime, peak))
            say(f"{turn + 1}/{repeat}  {name:<52} {seconds:6.2f} s {peak:6,.0f} MiB")
    medians = {name: [statistics.median(column) for column in zip(*each, strict=True)] for name, each in runs.items()}
    lines = ["| | runs | seconds (min–max) | time ÷ ours | CPU s | peak MiB |", "|---|--:|--:|--:|--:|--:|"]
    for name, (seconds, cpu, peak) in medians.items():
        low, high = min(each[0] for each in runs[name]), max(each[0] for each in runs[name])
        said = f"{seconds:.2f} ({low:.2f}–{high:.2f}) | {seconds / medians[base][0]:.2f}"
        lines.append(f"| {name} | {len(runs[name])} | {said} | {cpu:.1f} | {peak:,.0f} |")
    return lines


def shell(line: str) -> list[str]:
    return ["bash", "-o", "pipefail", "-c", line]


def manifest(tree: Path, where: Path) -> None:
    """Let sha256sum describe a tree."""
    line = f"cd {tree} && find . -type f -print0 | sort -z | xargs -0 -P2 -n64 sha256sum > {where}"
    subprocess.run(shell(line), check=True)


def streamed(tree: Path) -> list[str]:
    """Our store alone: names, sizes and SHA-256 as Arrow, without a comparison."""
    code = (
        "import sys; from integrity.stores import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "print(sum(b.num_rows for b in store.stream(['path', 'size_bytes', 'sha256'])), 'files')"
    )
    return [sys.executable, "-c", code, f"tree:{tree}"]


def peers(tree: Path, folder: Path) -> dict[str, list[str]]:
    """What verifies a manifest, of the tools that are here."""
    sums, known = folder / f"{tree.name}.sha256", folder / f"{tree.name}.hashdeep"
    work = {"sha256sum -c, one process": shell(f"cd {tree} && sha256sum --quiet -c {sums}")}
    work["sha256sum, two processes (xargs -P2)"] = shell(
        f"cd {tree} && find . -type f -print0 | xargs -0 -P2 -n16 sha256sum > /dev/null"
    )
    if shutil.which("hashdeep") is None:
        say("hashdeep is not here")
        return work
    with known.open("wb") as file:
        subprocess.run(["hashdeep", "-c", "sha256", "-r", "-l", "-j2", "."], cwd=tree, check=True, stdout=file)
    work["hashdeep -a -j2, SHA-256"] = shell(f"cd {tree} && hashdeep -a -k {known} -c sha256 -r -l -j2 .")
    return work


def bags(tree: Path, folder: Path) -> dict[str, list[str]]:
    """The same files as a bag, verified by bagit and by us."""
    command = Path(sys.executable).with_name("bagit.py")
    if not command.exists():
        say("bagit is not here")
        return {}
    bag = folder / "bag"
    shutil.copytree(tree, bag, copy_function=os.link)
    subprocess.run([str(command), "--quiet", "--sha256", "--processes", "2", str(bag)], check=True)
    ours = [sys.executable, "-m", "integrity", "reconcile", "tree"]
    return {
        "integrity reconcile, the bag": [*ours, f"manifest:{bag}", f"tree:{bag}"],
        "bagit --validate --processes 2": [str(command), "--quiet", "--validate", "--processes", "2", str(bag)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure files.")
    option = parser.add_argument
    option("--mib", type=int, default=FULL_MIB, help="of the mix of sizes")
    option("--tiny", type=int, default=FULL_TINY, help="tiny files")
    option("--repeat", type=int, default=FULL_REPEAT, help="runs of each")
    option("--results", type=Path, help="put the section into this; a full run writes RESULTS.md if this is left out")
    asked = parser.parse_args()
    about = f"- machine: {run.machine(os.getloadavg()[0])}\n- ours: {run.ours_installed('polars', 'pyarrow')}"
    lines = ["## Files", "", time.strftime("%Y-%m-%d, by `python benchmarks/files.py`."), "", about, ""]
    ours = [sys.executable, "-m", "integrity", "reconcile", "tree"]
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=HERE if os.access(HERE, os.W_OK) else None) as name:
        folder = Path(name)
        mix, tiny = folder / "mix", folder / "tiny"
        say(f"writing {asked.mib:,} MiB")
        count = grow(mix, asked.mib)
        manifest(mix, folder / "mix.sha256")
        base = "integrity reconcile, manifest against tree"
        work = {
            base: [*ours, f"manifest:{folder}/mix.sha256", f"tree:{mix}"],
            "integrity, the tree alone": streamed(mix),
        }
        lines += [f"### {asked.mib:,} MiB in {count:,} files of three sizes, in the page cache", ""]
        lines += [*measured(work | peers(mix, folder), base, asked.repeat, folder), ""]
        if bagged := bags(mix, folder):
            lines += ["### The same as a bag", "", *measured(bagged, next(iter(bagged)), asked.repeat, folder), ""]
            shutil.rmtree(folder / "bag")
        shutil.rmtree(mix)
        say(f"writing {asked.tiny:,} tiny files")
        grow_tiny(tiny, asked.tiny)
        manifest(tiny, folder / "tiny.sha256")
        alone = "integrity, the tree alone"
        work = {alone: streamed(tiny), base: [*ours, f"manifest:{folder}/tiny.sha256", f"tree:{tiny}"]}
        work["find | xargs sha256sum"] = shell(f"find {tiny} -type f -print0 | xargs -0 sha256sum > /dev/null")
        lines += [
            f"### {asked.tiny:,} tiny files",
            "",
            *measured(work | peers(tiny, folder), alone, asked.repeat, folder),
            "",
        ]
    text = "\n".join(lines)
    print(text)
    full = (asked.mib, asked.tiny) == (FULL_MIB, FULL_TINY) and asked.repeat >= FULL_REPEAT
    if asked.results or full:
        run.put(asked.results or RESULTS, text, BEGIN, END)


if __name__ == "__main__":
    main()
