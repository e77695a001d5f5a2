"""What does a data catalogue get to see?

An event of OpenLineage: a run that compared two datasets, and on the destination the promises as assertions. The
standard knows success or not. What was not verified is no success; what is pending, skipped or not due is not asserted
at all, and is told in a facet of our own.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, Final
from urllib.parse import urlsplit

from integrity.result import Result
from integrity.verdicts import Verdict

__all__ = ["openlineage"]

_PRODUCER: Final = "https://pypi.org/project/processing-integrity/"
_SPEC: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS: Final = "https://openlineage.io/spec/facets"
_ASSERTED: Final = (Verdict.PASS, Verdict.FAIL, Verdict.UNVERIFIED)
#: The port that a dataset's namespace names where the URL does not.
_PORTS: Final = {"postgresql": ("postgres", 5432), "mysql": ("mysql", 3306), "mariadb": ("mysql", 3306)}


def openlineage(result: Result, *, job: str, namespace: str, run_id: str | None = None) -> dict[str, Any]:
    """Return a result as an OpenLineage RunEvent, ready for JSON.

    The event is COMPLETE whatever the verdict: the reconciliation itself was carried out.

    Args:
        result: What was found.
        job: The job's name, such as the pipeline's.
        namespace: The job's namespace.
        run_id: A UUID; one that follows from what was compared, and when, if left out.

    Example:
        >>> import integrity, polars as pl
        >>> notes = integrity.Contract(name="notes", version=1, identity=["id"])
        >>> result = integrity.reconcile(notes, pl.DataFrame({"id": ["1"]}), pl.DataFrame({"id": ["1"]}))
        >>> event = openlineage(result, job="notes", namespace="acme")
        >>> event["eventType"], [each["success"] for each in event["inputs"][1]["inputFacets"][
        ...     "dataQualityAssertions"]["assertions"]]
        ('COMPLETE', [True, True])
    """
    identifier = run_id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{result.spec_sha256} {job} {_iso(result.as_of)}"))
    asserted = [
        {"assertion": assertion.value, "success": verdict is Verdict.PASS}
        for assertion, verdict in result.assertions.items()
        if verdict in _ASSERTED
    ]
    inputs = []
    for side in ("source", "destination"):
        space, name = _dataset(result.sides[side].location)
        facets = {"dataQualityMetrics": _metrics(result.totals[f"{side}_records"])}
        if side == "destination" and asserted:
            schema = f"{_FACETS}/1-0-1/DataQualityAssertionsDatasetFacet.json"
            facets["dataQualityAssertions"] = _facet(schema) | {"assertions": asserted}
        inputs.append({"namespace": space, "name": name, "inputFacets": facets})
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
    return {
        "eventType": "COMPLETE",
        "eventTime": _iso(max(side.read_at for side in result.sides.values())),
        "run": {"runId": identifier, "facets": {"integrity_reconciliation": _facet(f"{_PRODUCER}#result") | told}},
        "job": {"namespace": namespace, "name": job},
        "inputs": inputs,
        "outputs": [],
        "producer": _PRODUCER,
        "schemaURL": _SPEC,
    }


def _facet(schema: str) -> dict[str, Any]:
    return {"_producer": _PRODUCER, "_schemaURL": schema}


def _metrics(rows: int) -> dict[str, Any]:
    schema = f"{_FACETS}/1-0-2/DataQualityMetricsInputDatasetFacet.json"
    return _facet(schema) | {"rowCount": rows, "columnMetrics": {}}


def _dataset(location: str) -> tuple[str, str]:
    """The namespace and name of a dataset, after OpenLineage's rules for naming, as far as a location has them."""
    url = urlsplit(location)
    scheme = url.scheme.partition("+")[0]
    if scheme in _PORTS and url.hostname:
        named, port = _PORTS[scheme]
        return f"{named}://{url.hostname}:{url.port or port}", ".".join(
            filter(None, (url.path.strip("/"), url.fragment))
        )
    if url.scheme in ("s3", "gs", "abfs", "abfss", "sftp", "imap", "imaps") and url.netloc:
        host = url.netloc.rpartition("@")[2]
        return f"{url.scheme}://{host}", (url.path.strip("/") or "/") + (f"#{url.fragment}" if url.fragment else "")
    if url.scheme and "/" in location:
        return url.scheme if scheme != "sqlite" else "sqlite", location.partition(":")[2].lstrip("/") or location
    return "file", location


def _iso(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
