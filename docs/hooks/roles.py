"""What the site's build makes of docstrings, before they are read.

A role, such as ``:class:`integrity.Result` ``, becomes a link where a page has what it names; an ``Example:`` becomes
the section that Griffe calls ``Examples:``, whose lines are code and no Markdown.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)
_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):`~?([^`]+)`")


class Roles(griffe.Extension):
    """Turns roles into references, which are no error where nothing on the site answers to them."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of whatever has one."""
        if obj.docstring is not None:
            text = _EXAMPLE.sub("Examples:", obj.docstring.value)
            obj.docstring.value = _ROLE.sub(lambda found: _linked(found[1], obj), text)


def _linked(name: str, obj: griffe.Object) -> str:
    try:
        target = obj.resolve(name)
    except griffe.NameResolutionError:
        target = name
    return f'<autoref identifier="{target}" optional><code>{name.removeprefix("integrity.")}</code></autoref>'
