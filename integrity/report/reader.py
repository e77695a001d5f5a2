"""How does a reader of this language and time zone want to see a number, a moment, a duration or a sentence?"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final, Self
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_datetime
from babel.numbers import format_percent, get_group_symbol
from markupsafe import Markup, escape

from integrity.errors import UsageError, did_you_mean
from integrity.harmless import plain
from integrity.report.words import LANGUAGES, WORDS

__all__ = ["Count", "Reader"]

_UNITS: Final = (
    ("day", 86_400_000_000),
    ("hour", 3_600_000_000),
    ("minute", 60_000_000),
    ("second", 1_000_000),
    ("millisecond", 1_000),
    ("microsecond", 1),
)


class Count(str):
    """A number as its readers write it, which knows which form of a word goes with it.

    Example:
        >>> "{n} {n:batch is|batches are} open".format(n=Count("1", 1))
        '1 batch is open'
    """

    _one: bool

    def __new__(cls, text: str, value: int) -> Self:
        """Write a number."""
        made = super().__new__(cls, text)
        made._one = value == 1
        return made

    def __format__(self, spec: str) -> str:
        """Return the number, or of the two words between which there is a bar the one that goes with it."""
        one, bar, many = spec.partition("|")
        return (one if self._one else many) if bar else super().__format__(spec)

    def __html_format__(self, spec: str) -> str:
        """Return the same where a phrase is filled as HTML; it has no markup."""
        return format(self, spec)


@dataclass(frozen=True)
class Reader:
    """Says things in one language, its numbers and times as its readers write them.

    Attributes:
        language: ``en`` or ``ko``.
        zone: The time zone in which moments are told.

    Example:
        >>> reader = Reader.of("en", "Asia/Seoul")
        >>> reader.number(1234567), reader.duration(90_000_000), reader.say("verdict.pass")
        ('1,234,567', '1 min 30 s', 'pass')
        >>> import datetime as dt
        >>> reader.moment(dt.datetime(2026, 3, 1, 15, 0, tzinfo=dt.UTC))
        'Mar 2, 2026, 00:00:00'
        >>> Reader.of("ko").share(0.98765)
        '98.765%'
    """

    language: str
    zone: ZoneInfo
    locale: Locale

    @classmethod
    def of(cls, language: str = "en", zone: str = "UTC") -> Reader:
        """Return the reader of a language and a time zone.

        Raises:
            UsageError: there is no such language or zone.
        """
        if language not in LANGUAGES:
            way = did_you_mean(language, LANGUAGES) or f"there are {', '.join(LANGUAGES)}"
            raise UsageError(f"a report cannot be written in {plain(language)!r}", way)
        try:
            return cls(language, ZoneInfo(zone), Locale.parse(language))
        except (OSError, ValueError, KeyError):
            raise UsageError(f"there is no time zone {plain(zone)!r}", "name one as in Asia/Seoul, or UTC") from None

    @property
    def zone_name(self) -> str:
        """The name of the time zone."""
        return self.zone.key

    def say(self, key: str, /, **values: object) -> str:
        """Return a phrase; values are put in as they are."""
        return WORDS[key][LANGUAGES.index(self.language)].format(**values)

    def html(self, key: str, /, **values: object) -> Markup:
        """Return a phrase as HTML, its values escaped."""
        phrase = Markup(WORDS[key][LANGUAGES.index(self.language)])  # noqa: S704 - our own words
        return phrase.format(**{n: value if isinstance(value, Count) else escape(value) for n, value in values.items()})

    def number(self, value: int) -> Count:
        """Return a whole number, however long, with its digits in groups."""
        return Count(f"{value:,}".replace(",", get_group_symbol(self.locale)), value)

    def share(self, value: float) -> str:
        """Return a share in percent, to three decimals; only what is whole is shown as 100 %."""
        if value < 1 and round(value, 5) >= 1:
            return "> " + format_percent(0.99999, "#,##0.###%", locale=self.locale)
        return format_percent(value, "#,##0.###%", locale=self.locale)

    def moment(self, value: dt.datetime | None) -> str:
        """Return a moment in the reader's zone, to the second and by 24 hours; nothing is a dash."""
        if value is None:
            return "–"
        local = self.local(value)
        if local is None:
            return value.isoformat()
        return format_datetime(local, self.say("form.moment"), tzinfo=self.zone, locale=self.locale)

    def local(self, value: dt.datetime) -> dt.datetime | None:
        """Return a moment in the reader's zone; ``None`` at the ends of the years 1 and 9999, where there is none."""
        try:
            return value.astimezone(self.zone)
        except OverflowError:
            return None

    def iso(self, text: str | None) -> str:
        """Return a moment that is written as ISO 8601; what cannot be read is shown as it is."""
        if not text:
            return "–"
        try:
            return self.moment(dt.datetime.fromisoformat(text))
        except ValueError:
            return plain(text)

    def duration(self, micros: int | None) -> str:
        """Return a duration by its two largest units, rounded down; nothing is a dash."""
        if micros is None:
            return "–"
        sign, rest = "−" if micros < 0 else "", abs(micros)
        parts: list[str] = []
        for unit, size in _UNITS:
            if rest >= size and len(parts) < 2:
                parts.append(self.say(f"unit.{unit}", n=self.number(rest // size)))
                rest %= size
            elif parts:
                break
        return sign + (" ".join(parts) if parts else self.say("unit.second", n=0))
