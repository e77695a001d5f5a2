"""Great Expectations is imported before any test here does: its import warns, and warnings are errors."""

from integrity.gx_import import great_expectations

great_expectations()
