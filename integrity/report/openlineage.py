"""What does a data catalogue get to see?

An event of OpenLineage: a run that compared two datasets, and on both the promises as assertions. The standard knows
success or not. What was not verified is no success; what is pending, skipped or not due is not asserted at all, and is
told in a facet of our own.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from typing import Any, Final
from urllib.parse import unquote

from integrity.errors import UsageError
from integrity.result import Result
from integrity.verdicts import Verdict

__all__ = ["openlineage"]

_PRODUCER: Final = "https://pypi.org/project/processing-integrity/"
_SPEC: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS: Final = "https://openlineage.io/spec/facets/1-0-2"
_ASSERTED: Final = (Verdict.PASS, Verdict.FAIL, Verdict.UNVERIFIED)
_SEVERITIES: Final = {"critical": "error", "warning": "warn", "info": "info"}
#: What OpenLineage calls a database, and the port that its namespace names where the URL does not.
_DATABASES: Final = {
    "postgresql": ("postgres", 5432),
    "mysql": ("mysql", 3306),
    "mariadb": ("mysql", 3306),
    "mssql": ("mssql", 1433),
    "oracle": ("oracle", 1521),
    "redshift": ("redshift", 5439),
    "trino": ("trino", 8080),
}
_BUCKETS: Final = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
#: Where what stands before the ``@`` is a container of the account, and no user.
_CONTAINERS: Final = ("abfs", "abfss", "wasb", "wasbs")
#: How the items in a place are read. A dataset is the place, however it is read.
_READ_AS: Final = ("maildir", "mbox", "eml", "tree")


def openlineage(result: Result, *, job: str, namespace: str, run_id: str | None = None) -> dict[str, Any]:
    """Return a result as an OpenLineage RunEvent, ready for JSON.

    The event is COMPLETE whatever the verdict: FAIL says that a run broke off, and one that found something wrong was
    carried out. A run that broke off has no result to send.

    Args:
        result: What was found.
        job: The job's name, such as the pipeline's.
        namespace: The job's namespace.
        run_id: A UUID; one that follows from what was compared, and when, if left out.

    Raises:
        UsageError: ``run_id`` is no UUID.

    Example:
        >>> import integrity, polars as pl
        >>> notes = integrity.Contract(name="notes", version=1, identity=["id"])
        >>> result = integrity.reconcile(notes, pl.DataFrame({"id": ["1"]}), pl.DataFrame({"id": ["1"]}))
        >>> event = openlineage(result, job="notes", namespace="acme")
        >>> event["eventType"], [each["success"] for each in event["inputs"][1]["inputFacets"][
        ...     "dataQualityAssertions"]["assertions"]]
        ('COMPLETE', [True, True])
    """
    read = [side.read_at for side in result.sides.values()]
    told = {
        "contract": {
            "name": result.contract.name,
            "version": result.contract.version,
            "sha256": result.contract.sha256,
        },
        "specSha256": result.spec_sha256,
        "verdict": result.verdict.value,
        "assertions": {assertion.value: verdict.value for assertion, verdict in result.assertions.items()},
        "totals": dict(result.totals),
        "asOf": _iso(result.as_of),
    }
    parts = (result.spec_sha256, namespace, job, _iso(result.as_of), *map(_iso, read))
    return {
        "eventType": "COMPLETE",
        "eventTime": _iso(max(read)),
        "run": {
            "runId": _run_id(run_id, " ".join(parts)),
            "facets": {"integrity_reconciliation": _facet(f"{_PRODUCER}#result") | told},
        },
        "job": {"namespace": namespace, "name": job},
        "inputs": [_input(result, side, job) for side in ("source", "destination")],
        "outputs": [],
        "producer": _PRODUCER,
        "schemaURL": _SPEC,
    }


def _run_id(given: str | None, follows_from: str) -> str:
    if given is None:
        # Text that is no UTF-8 came with an argument; uuid5 would refuse it.
        return str(uuid.uuid5(uuid.NAMESPACE_URL, follows_from.encode(errors="backslashreplace").decode()))
    try:
        return str(uuid.UUID(given))
    except ValueError:
        raise UsageError(f"run_id {given!r} is no UUID", "take str(uuid.uuid4()), or leave it out") from None


def _input(result: Result, side: str, job: str) -> dict[str, Any]:
    location = result.sides[side].location
    if location.endswith(" in memory") and "/" not in location:
        space, name = "inmemory://", f"{job}.{side}"  # two frames are two datasets
    else:
        space, name = _dataset(location)
    counted = {"rowCount": result.totals[f"{side}_records"], "columnMetrics": {}}
    facets = {"dataQualityMetrics": _standard("DataQualityMetricsInputDatasetFacet") | counted}
    if asserted := _assertions(result, side):
        facets["dataQualityAssertions"] = _standard("DataQualityAssertionsDatasetFacet") | {"assertions": asserted}
    return {"namespace": space, "name": name, "inputFacets": facets}


def _assertions(result: Result, side: str) -> list[dict[str, Any]]:
    """The promises, which are about both sides; then the expectations that were asked of this one."""
    said = [(assertion.value, verdict, "error") for assertion, verdict in result.assertions.items()]
    said += [
        (each.name, each.verdict, _SEVERITIES.get(each.severity, each.severity))
        for each in result.expectations
        if each.side == side
    ]
    return [
        {"assertion": name, "success": verdict is Verdict.PASS, "severity": severity}
        for name, verdict, severity in said
        if verdict in _ASSERTED
    ]


def _standard(name: str) -> dict[str, Any]:
    return _facet(f"{_FACETS}/{name}.json#/$defs/{name}")


def _facet(schema: str) -> dict[str, Any]:
    return {"_producer": _PRODUCER, "_schemaURL": schema}


def _dataset(location: str) -> tuple[str, str]:
    """The namespace and name of a dataset, after OpenLineage's rules for naming, as far as a location has them."""
    read_as, _, place = location.partition(":")
    if read_as in _READ_AS:
        return _dataset(place)
    scheme, is_url, rest = location.partition("://")
    if not is_url:
        return "file", location
    scheme = scheme.partition("+")[0]
    authority, _, path = rest.partition("/")
    user, _, host = authority.rpartition("@")
    if scheme in _DATABASES:
        return _table(scheme, host, path)
    if not host:  # a database that is a file: sqlite:///shop.db#orders
        return scheme, path
    if scheme in _CONTAINERS:
        return f"{scheme}://{authority}", path or "/"
    if scheme in _BUCKETS:
        return f"{_BUCKETS[scheme]}://{host}", path or "/"
    if scheme in ("sftp", "ssh"):
        return f"file://{host}", f"/{path}"
    # A mailbox belongs to its user: the INBOX of another one is another dataset.
    owner = unquote(user.partition(":")[0])
    return f"{scheme}://{host}", f"{owner}/{path}" if owner else path or "/"


def _table(scheme: str, host: str, path: str) -> tuple[str, str]:
    named, port = _DATABASES[scheme]
    host = host or "localhost"
    space = f"{named}://{host}" if re.search(r":[0-9]+$", host) else f"{named}://{host}:{port}"
    database, _, table = path.partition("#")
    if not table.startswith("("):  # a query, whose text is not encoded
        table = unquote(table)
    # What MySQL calls a schema is a database.
    whole = [table] if named == "mysql" and "." in table else [unquote(database), table]
    return space, ".".join(part for part in whole if part)


def _iso(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
