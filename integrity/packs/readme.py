"""What does an auditor read first?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from integrity.summary import KINDS

__all__ = ["readme"]

_UNTIL_UNKNOWN = "Nobody declared how long the data is kept."
_WITH = (
    "It names persons wherever the data does: identities and partitions have columns of their own, values and reasons "
    "are in `body`. Treat it as the data."
)
_WITHOUT = (
    "Identities and partitions are pseudonyms, under a key that is kept apart. Values, amounts, reasons and locations "
    "were left out, so that the commitments to them cannot be opened here. Moments stayed, and so did what the log "
    "itself says: who ran, approved and erased, and what was skipped and why. Pseudonymous is not anonymous."
)


def readme(told: Mapping[str, Any], key: str) -> str:
    """Return the README of a pack.

    Args:
        told: What its statement says.
        key: The public key, as text.
    """
    kept = told["kept_until"]
    until = f"The data is kept until {kept}, as its owner declares." if kept else _UNTIL_UNKNOWN
    private = _WITHOUT if told["pseudonymised"] else _WITH
    runs = [_row(each) for each in told["runs"]]
    deviations = [f"- {each}" for each in told["deviations"]] or ["- none"]
    return "\n".join(
        [
            "# Evidence of reconciliation",
            "",
            f"From the ledger `{told['ledger']}`. Public key: `{key}`",
            "",
            f"What may be claimed: **{told['claim']}**.",
            "",
            "## Runs",
            "",
            "| run | pipeline | contract | began (UTC) | environment | verdict | source | matched | breaks |",
            "|---|---|---|---|---|---|---|---|---|",
            *runs,
            "",
            "Runs of `test` are on record and do not count.",
            "",
            "## Deviations",
            "",
            *deviations,
            "",
            "## What is in it",
            "",
            "- `report.html`, `report.ko.html`: what people open first, in English and Korean: a view of the other",
            "  files.",
            "- `runs/RUN/batches.parquet`, `breaks.parquet`: a row a batch, a row a break, each with its digest",
            "  (`hash`) and the commitment to what is private of it. Hash totals are keyed, because a sum over one",
            "  item could be guessed.",
            "- `runs/RUN/run.json`: what was read, where and how, and what was found besides.",
            "- `contracts/`: what was promised, by SHA-256; the `.yaml` says the same for people.",
            "- `log/`: the leaves of the log that speak of these runs, each with its proof (RFC 6962) that it is in",
            "  the log whose signed checkpoint lies beside. `hashes` has those of all leaves, so that an older",
            "  checkpoint can be compared; `erasures.jsonl` lists what was erased, if",
            "  anything was. What persons decided about breaks is among the leaves, each naming the step before it;",
            "  `reasons.jsonl` says why. A decision changes no verdict.",
            "- `*.dsse.json`: signed in-toto statements over all other files.",
            "",
            private,
            "",
            "## How to check it",
            "",
            "    pip install processing-integrity",
            "    integrity verify PACK --key 'the public key, as its owner told it to you'",
            "    integrity verify PACK --checkpoint 'a checkpoint that you hold, from then or earlier'",
            "    integrity reperform PACK --source … --destination …",
            "",
            "The first two need neither the ledger nor the data. The last performs each run again. " + until,
            "",
            "## What is not claimed",
            "",
            "- That the source holds everything that happened: what was never captured was not tested.",
            "- That an exception is material, or none is: that is for the reader to judge.",
            "- Anything about leaves behind the checkpoint that somebody else holds: whoever owns the ledger's",
            "  database and key could have written them anew.",
            "- That there were no other runs: leaves of runs that were not asked for are not in it, only their hashes.",
            "- That nothing was decided about these breaks later, or last of all and left out here: that leaves name",
            "  the step before them shows what is missing between two, not behind the last.",
            "- That persons are who they say. The log has the name that was given, and who was logged in.",
            "- That a clock was right. Moments are those of the machine that ran.",
            "",
        ]
    )


def _row(each: Mapping[str, Any]) -> str:
    contract = f"{each['contract']['name']} version {each['contract']['version']}"
    began = str(each["began"])[:19].replace("T", " ")
    totals = each.get("totals") or {}
    broken = f"{sum(totals[kind] for kind in KINDS):,}" if totals else ""
    numbers = [f"{totals[name]:,}" if totals else "" for name in ("source_records", "matched")]
    cells = [
        each["run"],
        each["pipeline"],
        contract,
        began,
        each["environment"],
        each.get("verdict") or each["ended"] or "never ended",
    ]
    return "| " + " | ".join([*(_cell(each) for each in cells), *numbers, broken]) + " |"


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
