"""How does a reader of this language and time zone want to see a number, a moment, a duration or a sentence?"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_datetime
from babel.numbers import get_group_symbol
from markupsafe import Markup, escape

from integrity.checks import texts
from integrity.errors import UsageError, did_you_mean
from integrity.harmless import plain
from integrity.report.words import LANGUAGES, WORDS
from integrity.shown import Count

__all__ = ["Reader"]

#: Of these there are whole ones in a duration, the largest first; then of these one, with decimals.
_WHOLE: Final = (("day", 86_400_000_000), ("hour", 3_600_000_000), ("minute", 60_000_000))
_PARTS: Final = (("second", 1_000_000), ("millisecond", 1_000), ("microsecond", 1))


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
        >>> reader.share(1999, 2000), reader.share(199_999, 200_000), reader.duration(3_631_000_000)
        ('99.95%', '99.999%', '1 h 31 s')
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
        texts(lang=language, zone=zone)
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

    def amount(self, value: Decimal) -> str:
        """Return an exact amount, its whole digits in groups."""
        whole, point, rest = format(value.copy_abs(), "f").partition(".")
        return f"{'−' if value < 0 else ''}{self.number(int(whole))}{point}{rest}"

    def promised(self, ratio: Decimal) -> str:
        """Return a share that was promised, in percent and as it was promised: to its last digit."""
        sign, digits, exponent = ratio.as_tuple()
        percent = format(Decimal((sign, digits, int(exponent) + 2)), "f")  # arithmetic could round
        return f"{percent.rstrip('0').rstrip('.') if '.' in percent else percent}%"

    def share(self, part: int, whole: int) -> str:
        """Return a measured share in percent, to three decimals, rounded down: it never looks better than it is."""
        thousandths = part * 100_000 // whole
        if part and not thousandths:
            return f"< {self.promised(Decimal('0.00001'))}"
        return self.promised(Decimal(f"{thousandths}E-5"))

    def moment(self, value: dt.datetime | None) -> str:
        """Return a moment in the reader's zone, to the second and by 24 hours; nothing is a dash.

        Where clocks are set back an hour comes twice. Then the offset from UTC tells which of the two it is.
        """
        if value is None:
            return "–"
        local = self.local(value)
        if local is None:
            return value.isoformat()
        said = format_datetime(local, self.say("form.moment"), tzinfo=self.zone, locale=self.locale)
        return f"{said} {offset}" if (offset := self.offset(local)) else said

    @staticmethod
    def offset(local: dt.datetime) -> str:
        """Return the offset from UTC of a local moment that comes twice, else nothing."""
        offsets = [local.replace(fold=fold).utcoffset() for fold in (0, 1)]
        return f"(UTC{local.isoformat()[-6:]})" if offsets[0] != offsets[1] else ""

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
        """Return a duration, exactly: rounded, one over its limit could look as if it kept it; nothing is a dash."""
        if micros is None:
            return "–"
        sign, rest = "−" if micros < 0 else "", abs(micros)
        parts: list[str] = []
        for unit, size in _WHOLE:
            count, rest = divmod(rest, size)
            if count:
                parts.append(self.say(f"unit.{unit}", n=self.number(count)))
        if rest or not parts:
            unit, size = next((each for each in _PARTS if rest >= each[1]), _PARTS[0])
            parts.append(self.say(f"unit.{unit}", n=f"{Decimal(rest) / size:f}"))
        return sign + " ".join(parts)
