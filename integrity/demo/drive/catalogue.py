"""Which faults does the drive day hide, and which breaks must be found for them?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from integrity.demo import shelf
from integrity.demo.drive.cabinet import Cabinet, PlantedFile
from integrity.demo.drive.fault import FileFault
from integrity.demo.drive.wrong_names import FOLDERS, NAMES, TWINS
from integrity.demo.drive.wrong_octets import CONTENTS, CONVERSIONS, PARTS, RECORDS
from integrity.demo.drive.wrong_uploads import LOG, LOSSES, STRANGERS, TIMES

__all__ = ["CATALOGUE", "plant"]

#: All faults, in the order in which they are planted: another order is another day for the same seed. Those that are
#: hard to please come first.
CATALOGUE: Final[tuple[FileFault, ...]] = (
    *FOLDERS, *PARTS, *NAMES, *TWINS, *CONVERSIONS, *CONTENTS, *RECORDS, *LOSSES, *STRANGERS, *LOG, *TIMES,
)  # fmt: skip


def plant(cabinet: Cabinet, files: int, beyond: frozenset[str]) -> Iterator[PlantedFile]:
    """Spoil files of the cabinet's pool, with every fault at least once, and yield the breaks to be found.

    Args:
        cabinet: The files.
        files: How many there are.
        beyond: Names of faults that the disk on which they are written cannot hold.

    Raises:
        UsageError: a fault finds no file that it could befall.
    """
    possible = [fault for fault in CATALOGUE if fault.name not in beyond]
    for fault, (kind, path) in shelf.plant(possible, cabinet, files, per=3_000, item="file", more="files"):
        yield PlantedFile(fault.name, fault.why, kind, path)
