"""What does a store show of itself?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from integrity.errors import IntegrityError
from integrity.harmless import plain
from integrity.shown import Card, Shown, Table
from integrity.stores.base import TypedStore

__all__ = ["ShownStore"]


class ShownStore(Shown):
    """A store that shows where its rows lie and which columns they have. It reads no row for that."""

    def card(self) -> Card:
        """Return where it is, and its columns; where they cannot be told now, why not."""
        location = str(getattr(self, "location", ""))
        try:
            names: Sequence[str] = self.columns()  # type: ignore[attr-defined]
            types: Mapping[str, pa.DataType] = self.types() if isinstance(self, TypedStore) else {}
        except IntegrityError as error:
            return Card(f"store {location}", [("cannot be read now", error)])
        rows = [(name, types.get(name, "as it is")) for name in names]
        return Card(f"store {location}", [("columns", len(names))], [Table("its columns", ("name", "type"), rows)])

    def __repr__(self) -> str:
        return f"<store {plain(getattr(self, 'location', ''), 400)}>"
