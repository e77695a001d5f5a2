"""How does a person read our expectations in Data Docs?

Great Expectations escapes the parameters of a template, but neither the template itself, nor a bare text, nor a cell
of a table, nor a traceback. So whatever comes from data, contracts or errors is a parameter here. A ``$`` in one stays
one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from great_expectations.core import ExpectationValidationResult
from great_expectations.expectations.expectation import render_suite_parameter_string
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.render.components import (
    AtomicDiagnosticRendererType,
    CollapseContent,
    LegacyDiagnosticRendererType,
    LegacyRendererType,
    RenderedAtomicContent,
    RenderedAtomicValue,
    RenderedStringTemplateContent,
    RenderedTableContent,
)
from great_expectations.render.renderer.renderer import renderer
from great_expectations.render.renderer_configuration import RendererValueType

from integrity.contracts import Assertion
from integrity.errors import IntegrityError
from integrity.gx.batch import promised
from integrity.harmless import plain

__all__ = ["Rendered", "named", "raised", "said"]

#: So many letters of a value are shown.
_WIDTH = 160
_SHORT = 40
_COLOURS = {"pass": "text-success", "fail": "text-danger", "unverified": "text-warning", "pending": "text-info"}
#: Which columns of a table come first and last; a store of results sorts them by name.
_FIRST = ("kind", "promise", "batch_start", "is_in", "source_records", "destination_records")
_LAST = ("differing", "reason", "event_time", "processed_time", "latency", "verdict")
#: Lines between cells also where the styles of a page cannot be loaded.
_GRID = {
    "classes": ["table-bordered", "table-sm", "mt-3"],
    "attributes": {"border": "1", "cellpadding": "4"},
    "styles": {"border-collapse": "collapse"},
}
_TABLES = {"assertions": "Promise by promise", "batches": "Batches that did not pass", "breaks": "Breaks"}

Sentence = tuple[str, dict[str, str]]


def said(value: object) -> str:
    """Return an argument as one harmless line; a parameter of the run by its name.

    Example:
        >>> said({"$PARAMETER": "archive"}), said({"url": "sqlite:///a.db", "query": "SELECT 1"}), said("a.csv")
        ('$PARAMETER archive', 'sqlite:///a.db (SELECT 1)', 'a.csv')
    """
    if isinstance(value, Mapping) and "$PARAMETER" in value:
        return plain(f"$PARAMETER {value['$PARAMETER']}", _WIDTH)
    if isinstance(value, Mapping) and "url" in value:
        return plain(f"{value['url']} ({value.get('query') or value.get('table')})", _WIDTH)
    return plain(value, _WIDTH)


def named(contract: Any) -> str:
    """Return the name by which people know a contract that an expectation was given.

    Example:
        >>> named("message"), named({"name": "notes", "version": 3, "identity": ["id"]})
        ('message', 'notes, version 3')
    """
    if isinstance(contract, Mapping) and "$PARAMETER" in contract:
        return said(contract)
    if isinstance(contract, str) and "\n" not in contract and not contract.lstrip().startswith("{"):
        return said(contract)
    try:
        found = promised(contract)
    except IntegrityError:
        return "that cannot be read"
    return f"{found.name}, version {found.version}"


def raised(result: ExpectationValidationResult) -> tuple[str, str] | None:
    """Return the message and traceback of what was raised, whichever of its two shapes the information has."""
    info: Any = result.exception_info or {}
    each = [info] if "raised_exception" in info else list(info.values())
    for found in each:
        if found["raised_exception"]:
            return str(found["exception_message"]), str(found["exception_traceback"])
    return None


class Rendered:
    """What all our expectations look like. Each says in a sentence what it expects."""

    @classmethod
    def sentence(cls, kwargs: Mapping[str, Any]) -> Sentence:
        """Return a template of our own words, and its parameters."""
        raise NotImplementedError

    # --- what is expected
    # ------------------------------------------------------------------------------------------

    @classmethod
    def _prescriptive_template(cls, renderer_configuration: Any) -> Any:
        template, params = cls.sentence(renderer_configuration.kwargs)
        for name, value in params.items():
            renderer_configuration.add_param(name=name, param_type=RendererValueType.STRING, value=value)
        renderer_configuration.template_str = template
        return renderer_configuration

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)
    @render_suite_parameter_string
    def _prescriptive_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,
        **_: Any,
    ) -> list[RenderedStringTemplateContent]:
        configuration = configuration or (result.expectation_config if result else None)
        template, params = cls.sentence(configuration.kwargs if configuration else {})
        return [_text(template, params, styling=(runtime_configuration or {}).get("styling"))]

    # --- what was found
    # --------------------------------------------------------------------------------------------

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.OBSERVED_VALUE)
    def _diagnostic_observed_value_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> Any:
        observed = _observed(result)
        colour = _COLOURS.get(observed.partition(":")[0])
        return _text("$observed", {"observed": observed}, styling={"classes": [colour] if colour else []})

    @classmethod
    @renderer(renderer_type=AtomicDiagnosticRendererType.OBSERVED_VALUE)
    def _atomic_diagnostic_observed_value(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> RenderedAtomicContent:
        params = {"observed_value": {"schema": {"type": "string"}, "value": _observed(result)}}
        return RenderedAtomicContent(
            name=AtomicDiagnosticRendererType.OBSERVED_VALUE,
            value=RenderedAtomicValue(
                template="$observed_value", params=params, schema={"type": "com.superconductive.rendered.string"}
            ),
            value_type="StringValueType",
        )

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.UNEXPECTED_STATEMENT)
    def _diagnostic_unexpected_statement_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> list[Any]:
        if result is None:
            return []
        problem = raised(result)
        if problem is not None:
            message, trace = problem
            shown = {"message": plain(message, 2000)}
            return [
                _text("\n\nnot judged: $message", shown, {"classes": ["text-danger"]}),
                _collapsed(
                    "Show exception traceback...",
                    [("$line", {"line": line}) for line in trace.splitlines() if line.strip(" ~^")],
                ),
            ]
        details = _details(result)
        lines = [_text("\n$line", {"line": plain(line, 500)}) for line in details.get("notes", ())]
        how = [
            ("$what: $how", {"what": what.replace("_", " "), "how": how})
            for what, how in details.get("how", {}).items()
        ]
        return [*lines, *([_collapsed("How it was judged...", how)] if how else [])]

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.UNEXPECTED_TABLE)
    def _diagnostic_unexpected_table_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> list[Any] | None:
        if result is None:
            return None
        details = _details(result)
        listed = (result.result or {}).get("partial_unexpected_list") or []
        rows = {
            "assertions": [
                {"promise": each.value, "verdict": details["assertions"][each.value]}
                for each in Assertion
                if each.value in details.get("assertions", {})
            ],
            "batches": details.get("batches", []),
            "breaks": [row for row in listed if isinstance(row, Mapping)],
        }
        many = {"batches": details.get("batches_failing"), "breaks": (result.result or {}).get("unexpected_count")}
        if len(rows["assertions"]) == 1:  # it is what was observed
            rows["assertions"] = []
        tables = [_table(_TABLES[name], each, many.get(name)) for name, each in rows.items() if each]
        return tables or None


def _observed(result: ExpectationValidationResult | None) -> str:
    if result is None:
        return "--"
    if raised(result) is not None:
        return "not judged: an error, see there"
    observed = (result.result or {}).get("observed_value")
    return "--" if observed is None else plain(observed, 400)


def _details(result: ExpectationValidationResult) -> Mapping[str, Any]:
    details = (result.result or {}).get("details")
    return details if isinstance(details, Mapping) else {}


def _text(
    template: str, params: dict[str, str], styling: dict[str, Any] | None = None
) -> RenderedStringTemplateContent:
    content: dict[str, Any] = {"template": template, "params": params}
    return RenderedStringTemplateContent(
        content_block_type="string_template",
        string_template=content if styling is None else content | {"styling": styling},
    )


def _collapsed(link: str, lines: Sequence[Sentence]) -> CollapseContent:
    """Return sentences, one a line, that open on a click."""
    shown = [
        _text(template + "\n", {name: plain(value, 500) for name, value in params.items()})
        for template, params in lines
    ]
    return CollapseContent(collapse_toggle_link=link, collapse=shown)


def _table(title: str, rows: Sequence[Mapping[str, Any]], of: int | None) -> RenderedTableContent:
    """Return rows as a table of the columns in which any of them has a value."""
    told = [name for row in rows for name, value in row.items() if value not in (None, 0)]
    middle = [name for name in dict.fromkeys(told) if name not in (*_FIRST, *_LAST)]
    names = [name for name in (*_FIRST, *middle, *_LAST) if name in told]
    counted = f" (the first {len(rows):,} of {of:,})" if of is not None and of > len(rows) else ""
    return RenderedTableContent(
        content_block_type="table",
        header=_text("$title", {"title": f"{title}{counted}"}),
        header_row=[_text("$name", {"name": plain(name).replace("_", " ")}) for name in names],
        table=[[_cell(name, row.get(name)) for name in names] for row in rows],
        styling={"body": _GRID},
    )


def _cell(name: str, value: object) -> RenderedStringTemplateContent:
    text = _in_words(name, value)
    styles = {"white-space": "nowrap"} if len(text) <= _SHORT else {}
    return _text("$cell", {"cell": text}, {"styles": styles})


def _in_words(name: str, value: object) -> str:
    if name == "latency" and isinstance(value, int):
        return f"{value / 1_000_000:,.6f}".rstrip("0").rstrip(".") + " s"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value is None else plain(value, _WIDTH)
