"""What became of items that did not arrive? A recall, a bounce, a quarantine: an outcome, by identity, in a store.

An accepted outcome accounts for a missing item. It does not excuse one that is there all the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from integrity import canonical
from integrity.columns import Column, ColumnType
from integrity.contracts import Contract
from integrity.errors import StoreError, did_you_mean
from integrity.spool import KEY, Sieve, Spool
from integrity.stores.base import Store

__all__ = ["Outcomes"]

_TEXT = Column(type=ColumnType.TEXT)


class Outcomes:
    """The outcomes of a run, read once; use as a context manager.

    Args:
        contract: Which outcomes it accepts, and by which identity.
        store: Where they are: the identity columns, ``outcome`` and, if known, ``at``. ``None`` is none at all.
        mapping: Their column names to ours.
        zone: How naive timestamps among the identity are to be read.

    Raises:
        StoreError: a column is missing.
    """

    def __init__(
        self, contract: Contract, store: Store | None, mapping: Mapping[str, str] | None = None, zone: str | None = None
    ) -> None:
        self._contract = contract
        #: ``__identity``, ``outcome`` and ``accepted``, by identity hash.
        self.spool = Spool()
        self.spool.add(
            pl.DataFrame(schema={KEY: pl.UInt64, "__identity": pl.String, "outcome": pl.String, "accepted": pl.Boolean})
        )
        #: The identities of accepted outcomes; ``None`` where there are none.
        self.accepted: Sieve | None = None
        self.rows = 0
        if store is not None:
            self._read(store, dict(mapping or {}), zone)

    def __enter__(self) -> Outcomes:
        return self

    def __exit__(self, *exc: object) -> None:
        self.spool.__exit__(None, None, None)

    def _read(self, store: Store, mapping: dict[str, str], zone: str | None) -> None:
        contract = self._contract
        theirs = {ours: their for their, ours in mapping.items()}
        names = [theirs.get(name, name) for name in [*contract.identity, "outcome"]]
        held = list(store.columns())
        for name in names:
            if name not in held:
                raise StoreError(f"no column {name!r} in {store.name}, the outcomes", did_you_mean(name, held))
        accept = pl.Series(contract.outcomes.accept if contract.outcomes else (), dtype=pl.String)
        self.accepted = Sieve()
        for batch in store.stream(names):
            arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
            values = [
                canonical.read(arrays[theirs.get(name, name)], column, zone).text.alias(name)
                for name, column in contract.identity.items()
            ]
            outcome = canonical.read(arrays[names[-1]], _TEXT).text.alias("outcome")
            key = pl.DataFrame(values).select(pl.struct(list(contract.identity)).hash(seed=0).alias(KEY)).to_series()
            accepted = outcome.is_in(accept.implode()).fill_null(False).alias("accepted")
            self.spool.add(pl.DataFrame([key, canonical.encode(values).alias("__identity"), outcome, accepted]))
            self.accepted.add(key.filter(accepted))
            self.rows += batch.num_rows
