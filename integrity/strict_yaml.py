"""How is YAML read so that it says one thing only, and written so that it reads as itself?

A key that is there twice, an anchor, a tag or a directive is refused: whoever reads the file without a parser
would not see what it does. The core of YAML 1.2 is what is left. Every key keeps its line, for messages.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.representer import SafeRepresenter

from integrity.errors import UsageError, did_you_mean
from integrity.part import Key, quoted

__all__ = ["Kind", "read_text", "read_yaml", "write_yaml"]


@dataclass(frozen=True)
class Kind:
    """What kind of document is read.

    Attributes:
        name: What messages call it, such as ``"contract"``.
        content: What it tells, such as ``"what is promised"``.
        error: What is raised of whatever is wrong with it.
    """

    name: str
    content: str
    error: type[UsageError]


def read_text(path: str | os.PathLike[str], kind: Kind) -> str:
    """Return the text of a file.

    Raises:
        UsageError: in the kind's own class: there is no such file, or no such text in it.
    """
    where = os.fspath(path)
    try:
        return Path(where).read_bytes().decode()
    except FileNotFoundError:
        beside = [file.name for file in Path(where).parent.glob("*.y*ml")]
        advice = did_you_mean(Path(where).name, beside) if beside else "check the path"
        raise kind.error(f"there is no {kind.name} file {where}", advice) from None
    except UnicodeDecodeError:
        raise kind.error(f"{where} is not UTF-8 text", "save it as UTF-8, or check the path") from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise kind.error(f"{where!r} cannot be read: {reason}", "name a readable YAML file") from None


def read_yaml(text: str, where: str, kind: Kind) -> tuple[object, dict[Key, int]]:
    """Return what a YAML text says, and the line of every key and list entry.

    Args:
        text: YAML 1.2. What else would be a date or a merge is text.
        where: What errors call it.
        kind: What kind of document it is.

    Raises:
        UsageError: in the kind's own class: it is not YAML, or could be misread.

    Example:
        >>> read_yaml("{since: 2026-03-02, skip: {}}", "job.yaml", Kind("job", "what runs", UsageError))
        ({'since': '2026-03-02', 'skip': {}}, {(): 1, ('since',): 1, ('skip',): 1})
    """
    # A %YAML 1.1 directive would bring back the `on` that means true.
    text = text.removeprefix("\ufeff")
    if re.search(r"(?:^|[\r\n])%(?!YAML 1\.2\s)", text):
        raise kind.error(
            f"{where}: a {kind.name} is YAML 1.2, without directives", "take out the line that begins with %"
        )
    reading = _Reading(where, kind)
    try:
        node = reading.yaml.compose(StringIO(text))
        return node and reading.value(node, ()), reading.lines
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{where}, line {mark.line + 1}" if mark else where
        problem = " ".join(part for part in (error.context, error.problem) if part)
        raise kind.error(f"{place}: this is not YAML: {problem}", "correct it there") from None
    except YAMLError:
        # What is left is a character that YAML cannot hold at all.
        raise kind.error(f"{where}: this is not YAML but holds control characters", "check the file") from None
    except RecursionError:
        raise kind.error(f"{where}: it nests too deep for a {kind.name}", "write it flat") from None


@dataclass(frozen=True)
class _Reading:
    """One text while it is read.

    Attributes:
        where: What errors call it.
        kind: What kind of document it is.
        yaml: What knows numbers from text.
        lines: The line of every key and list entry so far.
        seen: The nodes so far: an alias comes by a second time.
    """

    where: str
    kind: Kind
    yaml: YAML = field(default_factory=lambda: YAML(typ="safe", pure=True))
    lines: dict[Key, int] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)

    def value(self, node: Node, key: Key) -> object:
        """Return what a node says, to which this key leads, and note the lines of all that is in it."""
        line = node.start_mark.line + 1
        self.lines.setdefault(key, line)
        place = f"{self.where}, line {line}"
        if id(node) in self.seen:
            raise self.kind.error(
                f"{place}: anchors and aliases hide {self.kind.content}", "write it out where it holds"
            )
        self.seen.add(id(node))
        tag = str(node.tag).removeprefix("tag:yaml.org,2002:")
        if isinstance(node, MappingNode) and tag == "map":
            mapping: dict[str, object] = {}
            for key_node, value_node in node.value:
                name = self.value(key_node, key)
                place = f"{self.where}, line {key_node.start_mark.line + 1}"
                if not isinstance(name, str):
                    raise self.kind.error(f"{place}: the key {quoted(name)} is not text", "write it in quotes")
                if name in mapping:
                    first = self.lines[*key, name]
                    raise self.kind.error(
                        f"{place}: the key {name!r} is there already, in line {first}", "keep one of the two"
                    )
                self.lines[*key, name] = key_node.start_mark.line + 1
                mapping[name] = self.value(value_node, (*key, name))
            return mapping
        if isinstance(node, SequenceNode) and tag == "seq":
            return [self.value(each, (*key, n)) for n, each in enumerate(node.value)]
        if isinstance(node, ScalarNode) and tag in ("null", "bool", "int", "float"):
            try:
                value: object = self.yaml.constructor.construct_object(node)
            except ValueError:
                raise self.kind.error(f"{place}: {quoted(node.value)} is not a number", "write it in quotes") from None
            return value
        # The core of YAML 1.2 has no dates, no merging and no default key: these are the text that they are.
        if isinstance(node, ScalarNode) and tag in ("str", "timestamp", "merge", "value"):
            return str(node.value)
        raise self.kind.error(f"{place}: the tag {tag!r} means nothing in a {self.kind.name}", "leave the tag out")


class _Representer(SafeRepresenter):
    """Writes text so that it reads as itself. By ruamel alone, a U+0085 or a bare ``:0`` would not."""

    def represent_str(self, text: str) -> ScalarNode:
        """Return text as YAML: bare where it is plain prose, else in double quotes with escapes."""
        prose = re.fullmatch(r"\w[\w §.,;()/-]*", text)
        node: ScalarNode = self.represent_scalar("tag:yaml.org,2002:str", text, style=None if prose else '"')
        return node


_Representer.add_representer(str, _Representer.represent_str)


def write_yaml(mapping: Mapping[str, Any]) -> str:
    """Return YAML that reads as this mapping, keys in its order.

    Example:
        >>> print(write_yaml({"name": "note", "due": "on: time"}), end="")
        name: note
        due: "on: time"
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = True
    yaml.width = 120
    out = StringIO()
    yaml.dump(mapping, out)
    return out.getvalue()
