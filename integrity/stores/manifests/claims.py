"""What does a manifest claim of a file, and how are claims handed over whatever the manifest looks like?

A list of checksums, a bag, a hashdeep file, an S3 Inventory and a listing in a table are :class:`Manifest`: each yields
:class:`Claim`, one at a time, as often as it is asked. Whether a claim is true is not known here.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["Claim", "Manifest"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What is claimed of one file.

    Attributes:
        path: Its path below the folder that the manifest describes, parts joined by ``/``, spelled as the manifest
            spells it; what is not UTF-8 in it as :func:`integrity.trees.names.text_of` writes it.
        size: Its length in octets, if that is claimed.
        digests: Of :data:`integrity.trees.digests.DIGESTS`, the name and the digest, lower-case hexadecimal; ``etag``
            as :func:`integrity.trees.digests.etag` writes it. Empty, if nothing is claimed that could be compared.
        modified_at: When it was last changed, microseconds since the epoch, UTC, if that is claimed.
        defects: What is wrong with the claim, in words.
    """

    path: str
    size: int | None = None
    digests: Mapping[str, str] = field(default_factory=dict)
    modified_at: int | None = None
    defects: str | None = None


class Manifest(Protocol):
    """What claims to describe a tree of files.

    Attributes:
        name: A short name for messages.
        location: The path or URL, without any password.
        remarks: What has to be said of the last pass: what was left out, what looked odd.
        every: Whether each of its digests has to be right, and not the strongest alone.
    """

    @property
    def name(self) -> str: ...

    @property
    def location(self) -> str: ...

    @property
    def remarks(self) -> Sequence[str]: ...

    @property
    def every(self) -> bool: ...

    def told(self) -> frozenset[str]:
        """Return what some of its claims tell: names of digests, ``size``, ``modified_at``.

        Raises:
            StoreError: it cannot be read, or is no manifest.
        """
        ...

    def claims(self) -> Generator[Claim, None, None]:
        """Yield every claim of one pass, in bounded memory; a line that is none is an error, or a claim with a defect.

        Raises:
            StoreError: it cannot be read to its end, or is malformed.
        """
        ...

    def covers(self, path: str, location: str) -> bool:
        """Tell whether it claims to list such a file, so that the file would be extra if it does not.

        Args:
            path: Its path below the folder described.
            location: Where it really lies, an absolute path or a URL: a manifest does not list itself.
        """
        ...
