"""Which characters do some octets stand for?

Charsets come from strangers, so that only those which mail really uses are ever looked up: a codec by the name of
rot13, zlib or idna is none of them. Where a name is commonly put on the texts of a superset (euc-kr on cp949), the
superset is tried when the named one fails.
"""

from __future__ import annotations

import codecs
import functools
from collections.abc import Iterable, Iterator

__all__ = ["WIDE", "codecs_of", "decoded", "text8", "utf8"]

_CODECS: dict[str, tuple[str, ...]] = {
    "utf-8": ("utf-8",),
    "utf8": ("utf-8",),
    "us-ascii": ("ascii",),
    "ascii": ("ascii",),
    "ansi-x3.4-1968": ("ascii",),
    "latin1": ("iso8859-1",),
    "iso-8859-8-i": ("iso8859-8",),
    "iso-8859-8-e": ("iso8859-8",),
    **{f"iso{dash}8859-{n}": (f"iso8859-{n}",) for n in range(1, 17) if n != 12 for dash in ("", "-")},
    **{f"{prefix}125{n}": (f"cp125{n}",) for n in range(9) for prefix in ("windows-", "cp")},
    "koi8-r": ("koi8-r",),
    "koi8-u": ("koi8-u",),
    "koi8-t": ("koi8-t",),
    "euc-kr": ("euc-kr", "cp949"),
    "ks-c-5601-1987": ("euc-kr", "cp949"),
    "ks-c-5601": ("euc-kr", "cp949"),
    "ksc5601": ("euc-kr", "cp949"),
    "cp949": ("cp949",),
    "uhc": ("cp949",),
    "windows-949": ("cp949",),
    "johab": ("johab",),
    "cp1361": ("johab",),
    "iso-2022-kr": ("iso2022-kr",),
    "euc-jp": ("euc-jp",),
    "iso-2022-jp": ("iso2022-jp", "iso2022-jp-ext"),
    **{f"iso-2022-jp-{n}": (f"iso2022-jp-{n}",) for n in ("1", "2", "3", "2004", "ext")},
    "shift-jis": ("shift-jis", "cp932"),
    "sjis": ("shift-jis", "cp932"),
    "x-sjis": ("shift-jis", "cp932"),
    "cp932": ("cp932",),
    "windows-31j": ("cp932",),
    "gb2312": ("gb2312", "gbk", "gb18030"),
    "gbk": ("gbk", "gb18030"),
    "cp936": ("gbk", "gb18030"),
    "gb18030": ("gb18030",),
    "big5": ("big5", "cp950"),
    "big5-hkscs": ("big5hkscs",),
    "big5hkscs": ("big5hkscs",),
    "hz": ("hz",),
    "hz-gb-2312": ("hz",),
    "tis-620": ("tis-620", "cp874"),
    "cp874": ("cp874",),
    "windows-874": ("cp874",),
    "macintosh": ("mac-roman",),
    "utf-7": ("utf-7",),
    **{f"utf-{bits}{order}": (f"utf-{bits}{order}",) for bits in (16, 32) for order in ("", "le", "be")},
}
#: Codecs in which a line end is more than one octet, so that only characters can be searched for it.
WIDE = frozenset(codec for name, names in _CODECS.items() if name.startswith(("utf-16", "utf-32")) for codec in names)


def codecs_of(charset: str) -> tuple[str, ...]:
    """Return the codecs to try for a charset as a mail names it; none if mail does not use it.

    Example:
        >>> codecs_of("KS_C_5601-1987"), codecs_of("rot13")
        (('euc-kr', 'cp949'), ())
    """
    return _CODECS.get(charset.lower().replace("_", "-"), ())


def decoded(charset: str, octets: bytes) -> str | None:
    """Return the text of some octets, ``None`` if the charset is unknown or wrong."""
    for codec in codecs_of(charset):
        try:
            text = octets.decode(codec)
            text.encode()  # UTF-7 can spell half of a surrogate pair, which is no text
        except UnicodeError:
            continue
        return text
    return None


def text8(octets: bytes) -> str:
    """Return the text of octets without a charset; every octet has some meaning."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def utf8(stream: Iterable[bytes], codec: str) -> Iterator[bytes]:
    """Yield a text as UTF-8.

    Raises:
        UnicodeError: it is no text in this codec.
    """
    transparent = _transparent(codec)
    decoder = None
    for piece in stream:
        if decoder is None:
            if transparent and piece.isascii():
                yield piece
                continue
            decoder = codecs.getincrementaldecoder(codec)()
        text = decoder.decode(piece)
        yield piece if codec == "utf-8" else text.encode()
    if decoder is not None:
        yield decoder.decode(b"", True).encode()


@functools.cache
def _transparent(codec: str) -> bool:
    """Whether ASCII means itself: not in shifted codecs, nor in Johab, where a backslash is a won sign."""
    try:
        return all(bytes([octet]).decode(codec) == chr(octet) for octet in range(128))
    except UnicodeError:
        return False
