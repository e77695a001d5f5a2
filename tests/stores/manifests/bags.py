"""Bags, sound and broken: each case of the conformance suite of the Library of Congress, and of RFC 8493, made anew.

A case changes a small sound bag. Its expectation is ``valid``, or a part of what is found; where the suite only warns and
we do not let it pass, or the other way round, the case says so.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

PAYLOAD = {"data/hello.txt": b"hello\n", "data/deep/각서.txt": b"memo\n"}
NFD = unicodedata.normalize("NFD", "각서")


@dataclass(frozen=True)
class Made:
    """A bag to be written: everything in it can be another thing than a sound bag would have."""

    version: str = "1.0"
    payload: dict[str, bytes] = field(default_factory=lambda: dict(PAYLOAD))
    kinds: tuple[str, ...] = ("sha512",)
    end: str = "\n"
    encoding: str = "UTF-8"
    between: str = "  "
    info: str | None = "Bagging-Date: 2026-03-02\n"
    oxum: str | None = None
    spelled: Callable[[str], str] = lambda path: path.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    listed: Callable[[list[tuple[str, str]]], list[tuple[str, str]]] = lambda lines: lines
    fetch: str | None = None
    tags: bool = True
    bagit: str | None = None
    then: Callable[[Path], object] = lambda _: None

    def write(self, folder: Path) -> Path:
        for path, data in self.payload.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        (folder / "data").mkdir(parents=True, exist_ok=True)
        said = f"BagIt-Version: {self.version}\nTag-File-Character-Encoding: {self.encoding}\n"
        files = {"bagit.txt": (said if self.bagit is None else self.bagit).encode()}
        if self.info is not None:
            size = sum(map(len, self.payload.values()))
            oxum = f"{size}.{len(self.payload)}" if self.oxum is None else self.oxum
            files["bag-info.txt"] = f"{self.info}Payload-Oxum: {oxum}\n".encode(self.encoding)
        if self.fetch is not None:
            files["fetch.txt"] = self.fetch.encode(self.encoding)
        for kind in self.kinds:
            lines = [(hashlib.new(kind, data).hexdigest(), self.spelled(path)) for path, data in self.payload.items()]
            text = "".join(f"{digest}{self.between}{path}{self.end}" for digest, path in self.listed(lines))
            files[f"manifest-{kind}.txt"] = text.encode(self.encoding)
        for kind in self.kinds if self.tags else ():
            text = "".join(f"{hashlib.new(kind, data).hexdigest()} {name}{self.end}" for name, data in files.items())
            files = files | {f"tagmanifest-{kind}.txt": text.encode(self.encoding)}
            # A tag manifest lists the other tag files, and not the tag manifests before it.
            listed = [line for line in text.splitlines(keepends=True) if "tagmanifest" not in line]
            files[f"tagmanifest-{kind}.txt"] = "".join(listed).encode(self.encoding)
        for name, octets in files.items():
            (folder / name).write_bytes(octets)
        self.then(folder)
        return folder


@dataclass(frozen=True)
class Case:
    name: str
    bag: Made
    found: str  # "valid", or a part of what is wrong


def cases() -> Iterator[Case]:
    yield from _sound()
    yield from _unsound()
    yield from _astray()
    yield from _of_the_rfc()


OLD = ("0.93", "0.94", "0.95", "0.96", "0.97")


def _sound() -> Iterator[Case]:
    for version in (*OLD, "1.0"):
        yield Case(f"basic bag {version}", Made(version, kinds=("md5",), end="\r\n"), "valid")
    twice = "Contact-Name: a\nContact-Name: b\ncontact-name: c\nCASE: 1\ncase: 2\nLong: 1\n  2\n"
    yield Case("duplicate metadata entries", Made("0.97", info=twice), "valid")
    inner = {
        f"data/bag/{name}": data for name, data in {"bagit.txt": b"x", "manifest-md5.txt": b"y", "data/a": b"z"}.items()
    }
    yield Case("bag in a bag", Made("0.97", inner), "valid")
    percent = {"data/%7Edir/a": b"a", "data/%test": b"b", "data/~c": b"c", "data/100%25": b"d"}
    yield Case("encoded names", Made("0.96", percent, spelled=str), "valid")
    yield Case("names with spaces", Made("0.97", {"data/test 1  .txt ": b"a"}, between=" "), "valid")
    yield Case("leading dot slash", Made("0.96", spelled=lambda path: f"./{path}"), "valid")
    yield Case("relative path (warning)", Made("0.97", spelled=lambda path: f"./{path}"), "valid")
    holes = "".join(f"http://localhost/{number} - {path}\r\n" for number, path in enumerate(PAYLOAD))
    yield Case("holey bag, fetched", Made("0.97", fetch=holes), "valid")
    yield Case("ISO-8859-1", Made("0.97", {"data/caf\xe9": b"a"}, encoding="ISO-8859-1"), "valid")
    yield Case("UTF-16", Made("0.97", encoding="UTF-16"), "valid")
    yield Case("minimal bag", Made("0.97", {"data/manifest-md5.txt": b"", "data/data/bagit.txt": b"b"}), "valid")
    separators = "Test-Tag: 1\nTest-Tag:   2\nTest-Tag : 3\nTest-Tag    :   5\n"
    yield Case("uncommon metadata separators", Made("0.97", info=separators), "valid")
    yield Case("a manifest of SHA-224", Made("0.97", kinds=("sha224",)), "valid")
    # What we cannot compute is not called valid unseen.
    yield Case("a manifest of SHA3-256", Made("0.97", kinds=("sha3_256",)), "unverified")
    yield Case("a manifest of SHA3-256 beside another", Made("0.97", kinds=("sha3_256", "sha256")), "valid")
    yield Case("made with md5sum (warning)", Made("0.97", between=" *", kinds=("md5",)), "valid")
    yield Case("special system files (warning)", Made("0.97", {"data/.DS_Store": b"", "data/Thumbs.db": b""}), "valid")
    same = Made("0.97", listed=lambda lines: [*lines, lines[0]], kinds=("sha256", "sha512"))
    yield Case("same name twice, same digest, before 1.0 (warning)", same, "valid")


def _unsound() -> Iterator[Case]:
    bagit = "Tag-File-Character-Encoding: UTF-8\n"
    yield Case("missing encoding", Made("0.97", bagit="BagIt-Version: 0.97\n"), "does not go on with")
    yield Case("byte order mark in bagit.txt", Made(bagit=f"\ufeffBagIt-Version: 0.97\n{bagit}"), "does not begin with")
    yield Case("invalid version", Made(bagit=f"BagIt-Version: .97\n{bagit}"), "does not begin with")
    yield Case(
        "invalid whitespace", Made(bagit="BagIt-Version : 1.0\nTag-File-Character-Encoding : UTF-8\n"), "does not begin"
    )
    yield Case(
        "corrupt data file",
        Made("0.97", then=lambda bag: (bag / "data/hello.txt").write_bytes(b"Hello\n")),
        "data/hello.txt: altered",
    )
    yield Case(
        "corrupt tag file",
        Made("0.97", then=lambda bag: (bag / "bagit.txt").write_text(f"BagIt-Version: 0.96\n{bagit}")),
        "bagit.txt: altered",
    )
    yield Case("extra file", Made("0.97", then=lambda bag: (bag / "data/more").write_text("")), "data/more: extra")
    yield Case(
        "missing bag-info.txt", Made("0.97", then=lambda bag: (bag / "bag-info.txt").unlink()), "bag-info.txt: 0 files"
    )
    yield Case(
        "missing bagit.txt", Made("0.97", then=lambda bag: (bag / "bagit.txt").unlink()), "there is no bagit.txt in it"
    )
    for version in ("0.97", "1.0"):
        other = Made(version, listed=lambda lines: [*lines, ("deadbeef" + lines[0][0][8:], lines[0][1])])
        yield Case(f"same name twice, other digest {version}", other, "manifest-sha512.txt lists it twice")
    twice = Made(listed=lambda lines: [*lines, lines[0]])
    yield Case("same name twice, same digest", twice, "manifest-sha512.txt lists it twice")
    # The suite warns of these two; here a path of which there is no file is missed, and a file claimed twice is no bag.
    case = Made("0.97", listed=lambda lines: [*lines, (lines[0][0], "data/HELLO.txt")])
    yield Case("same name in another case (warning)", case, "data/HELLO.txt: 0 files")
    forms = Made("0.97", listed=lambda lines: [*lines, (lines[1][0], f"data/deep/{NFD}.txt")])
    yield Case("same name in another normalization (warning)", forms, "claimed twice")
    less = Made(kinds=("sha256", "sha512"), then=lambda bag: _drop(bag / "manifest-sha256.txt"))
    yield Case("not all manifests list all files", replace(less, tags=False), "manifest-sha256.txt does not list it")
    yield Case("not all manifests list all files, before 1.0", replace(less, tags=False, version="0.97"), "valid")


def _drop(manifest: Path) -> None:
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[1:]))


def _astray() -> Iterator[Case]:
    for path in (
        "../../../README.md", "\\.\\./\\.\\./README.md", "/srv/foo", "~/foo", "~root/foo", "C:\\Windows\\setx.exe",
        "%HomeDrive%\\setx.exe", "\\\\?\\UNC\\server\\setx.exe", "data/../../x", "database/x",
    ):  # fmt: skip
        listed = Made("0.97", listed=lambda lines, path=path: [*lines, (lines[0][0], path)])  # type: ignore[misc]
        wrong = "its path leads out of its folder" if path.startswith("data/") else "which is not in data/"
        yield Case(f"out of scope: {path}", listed, wrong)
        fetched = Made("0.97", fetch=f"https://example.com - {path}\r\n")
        yield Case(f"out of scope, to be fetched: {path}", fetched, "fetch.txt: fetch.txt names")


def _of_the_rfc() -> Iterator[Case]:
    # 2.1.1
    yield Case("another version", Made("2.0"), "says that the bag is of BagIt 2.0")
    yield Case(
        "no encoding of text", Made(bagit="BagIt-Version: 1.0\nTag-File-Character-Encoding: base64\n"), "is no encoding"
    )
    # 2.1.2
    yield Case("no payload", Made(payload={}), "valid")
    yield Case("no folder of the payload", Made(payload={}, then=lambda bag: (bag / "data").rmdir()), "has no payload")
    yield Case("a file for the payload", Made(payload={}, then=_data_is_a_file), "has no payload")
    # 2.1.3
    odd = {"data/per%cent": b"1", "data/%0A": b"2", "data/new\nline": b"3", "data/cr\rx": b"4", "data/%250A%25": b"5"}
    yield Case("escaped names", Made(payload=odd), "valid")
    plain = Made(payload={"data/%25": b"1"}, info="Bag-Software-Agent: bagit.py v2 <x>\n", spelled=str)
    yield Case("what bagit-python leaves as it is", plain, "valid")
    lower = {"data/new\nline": b"3"}
    yield Case("escaped in lower case", Made(payload=lower, spelled=lambda path: path.replace("\n", "%0a")), "valid")
    yield Case("line ends of old Macs", Made(end="\r"), "valid")
    yield Case("several manifests", Made(kinds=("md5", "sha1", "sha256", "sha512")), "valid")
    yield Case("tabs", Made(between="\t \t"), "valid")
    wrong = Made(kinds=("md5", "sha512"), tags=False, then=_alter_md5)
    yield Case("one of several manifests is wrong", wrong, "data/hello.txt: altered")
    yield Case(
        "no manifest of the payload",
        Made(then=lambda bag: (bag / "manifest-sha512.txt").unlink()),
        "has no manifest of its payload",
    )
    yield Case(
        "a manifest lists itself",
        Made(listed=lambda lines: [*lines, (lines[0][0], "manifest-sha512.txt")]),
        "which is not in data/",
    )
    yield Case(
        "a digest that is too short",
        Made(listed=lambda lines: [(lines[0][0][:-1], lines[0][1])]),
        "is no line of a manifest",
    )
    yield Case(
        "a line of a digest alone", Made(listed=lambda lines: [*lines, (lines[0][0], "")]), "is no line of a manifest"
    )
    yield Case(
        "a folder is listed", Made(listed=lambda lines: [*lines, (lines[0][0], "data/deep")]), "data/deep: 0 files"
    )
    # 2.2.1
    tag = Made(tags=False, then=lambda bag: _tag(bag, "tagmanifest-sha512.txt"))
    yield Case("a tag manifest lists itself", tag, "which is a tag manifest")
    tag = Made(tags=False, then=lambda bag: _tag(bag, "data/hello.txt"))
    yield Case("a tag manifest lists the payload", tag, "which is of the payload")
    yield Case("a tag file that nobody lists", Made(then=lambda bag: (bag / "notes.txt").write_text("x")), "valid")
    yield Case("no tag manifest", Made(tags=False), "valid")
    yield Case(
        "an altered tag file that nobody lists",
        Made(tags=False, then=lambda bag: (bag / "notes.txt").write_text("x")),
        "valid",
    )
    # 2.2.2
    yield Case(
        "fewer files than Payload-Oxum",
        Made(oxum="11.3"),
        "bag-info.txt: its Payload-Oxum is 11.3, and the payload 11.2",
    )
    yield Case(
        "fewer octets than Payload-Oxum",
        Made(oxum="12.2", tags=False),
        "data/deep/각서.txt: its Payload-Oxum is 12.2, and the payload 11.2",
    )
    yield Case("no Payload-Oxum that can be read", Made(oxum="11"), "which is no number of octets and of files")
    yield Case("Payload-Oxum of another encoding", Made(oxum="11.2", encoding="UTF-16"), "valid")
    yield Case("no payload and yet a Payload-Oxum", Made(payload={}, oxum="5.1", tags=False), "there is no file in")
    # 2.2.3
    missing = Made(fetch="http://example.com/a 6 data/hello.txt\n", then=lambda bag: (bag / "data/hello.txt").unlink())
    yield Case("still to be fetched", missing, "data/hello.txt: 0 files")
    yield Case(
        "a line of fetch.txt that is none",
        Made(fetch="http://example.com/a data/hello.txt\n"),
        "is no address, length and path",
    )
    # 6.1.1: a bag without Payload-Oxum and tag manifest, with a twin that is not listed
    twin = Made(info=None, tags=False, then=lambda bag: (bag / f"data/deep/{NFD}.txt").write_bytes(b"other\n"))
    yield Case("an NFD twin", twin, "2 files")
    moved = Made(then=lambda bag: (bag / "data/deep/각서.txt").rename(bag / f"data/deep/{NFD}.txt"))
    yield Case("a Mac decomposed a name", moved, "valid")


def _data_is_a_file(bag: Path) -> None:
    (bag / "data").rmdir()
    (bag / "data").write_text("")


def _alter_md5(bag: Path) -> None:
    path = bag / "manifest-md5.txt"
    path.write_text("0" * 32 + path.read_text()[32:])


def _tag(bag: Path, name: str) -> None:
    digest = hashlib.sha512((bag / name).read_bytes() if (bag / name).exists() else b"").hexdigest()
    (bag / "tagmanifest-sha512.txt").write_text(f"{digest}  {name}\n")
