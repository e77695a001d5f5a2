"""What claims to describe a tree of files, and what does it claim?"""

from __future__ import annotations

from integrity.stores.manifests.opening import open_manifest

__all__ = ["open_manifest"]
