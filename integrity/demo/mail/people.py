"""Who has a mailbox, which addresses lead to it, and since when until when?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from random import Random

from integrity.demo.mail.letters import Party

__all__ = ["DOMAIN", "EVERYBODY", "SERVERS", "Directory", "Member", "Move", "directory"]

DOMAIN = "acme.example"
#: The group of all departments, which are groups of teams, which are groups of people.
EVERYBODY = f"all@{DOMAIN}"
_PEOPLE, _TEAM, _TEAMS_OF_A_DEPARTMENT, _MOVES = 150, 6, 4, 4

_SURNAMES = (("김", "kim"), ("이", "lee"), ("박", "park"), ("최", "choi"), ("정", "jung"), ("강", "kang"))
_GIVEN = (
    ("민준", "minjun"), ("서연", "seoyeon"), ("도윤", "doyun"), ("지우", "jiwoo"), ("하은", "haeun"), ("시우", "siwoo"),
    ("수아", "sua"), ("예준", "yejun"), ("지민", "jimin"), ("주원", "juwon"), ("다은", "daeun"), ("현우", "hyunwoo"),
    ("채원", "chaewon"), ("건우", "gunwoo"), ("유진", "yujin"), ("선우", "sunwoo"), ("가은", "gaeun"),
    ("나윤", "nayoon"), ("태양", "taeyang"), ("소율", "soyul"), ("은우", "eunwoo"), ("아린", "arin"), ("지호", "jiho"),
    ("준서", "junseo"),
)  # fmt: skip
_ABROAD = ("Grace Lee", "Tom Baker", "Ana Souza", "Jonas Weber", "Mia Rossi", "Omar Haddad")
_ALIASES = ("sales", "support", "jobs", "invoice", "security", "press")

#: What the mailbox servers do to a mail. Whose mailbox is where, is decided by chance.
SERVERS = ("mbx1", "mbx2", "mbx3", "mbx4")


@dataclass(frozen=True, slots=True)
class Member:
    """A row of the members: an address stands for another, or for a mailbox."""

    address: str
    mailbox: str
    since: datetime | None = None
    until: datetime | None = None

    def holds(self, at: datetime) -> bool:
        """Whether it does at that moment."""
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)


@dataclass(frozen=True, slots=True)
class Move:
    """Somebody who changes from one team to another during the day."""

    mailbox: str
    left: str
    joined: str
    at: datetime


@dataclass(frozen=True)
class Directory:
    """Whose mailboxes there are.

    Attributes:
        people: Everybody who has a mailbox, by its name.
        servers: The server on which each mailbox is.
        aliases: Addresses of one person each, besides that person's own.
        teams: Groups of people.
        departments: Groups of teams.
        moves: Who changes teams.
        members: All of that, as it is written down.
    """

    people: Mapping[str, Party]
    servers: Mapping[str, str]
    aliases: tuple[str, ...]
    teams: tuple[str, ...]
    departments: tuple[str, ...]
    moves: tuple[Move, ...]
    members: tuple[Member, ...]

    def mailboxes(self, addresses: tuple[str, ...], at: datetime) -> tuple[str, ...]:
        """Return the mailboxes that addresses lead to at a moment, each once, by name."""
        found: set[str] = set()
        waiting = [address.lower() for address in addresses]
        while waiting:
            name = waiting.pop()
            if "@" not in name:
                found.add(name)
            waiting += [each.mailbox for each in self._of.get(name, ()) if each.holds(at)]
        return tuple(sorted(found))

    @cached_property
    def _of(self) -> Mapping[str, list[Member]]:
        found: dict[str, list[Member]] = {}
        for each in self.members:
            found.setdefault(each.address, []).append(each)
        return found


def directory(rng: Random, start: datetime) -> Directory:
    """Return the people of the company on the day that begins at a moment."""
    names = [Party(f"{s}{g}", f"{given}.{sur}@{DOMAIN}") for s, sur in _SURNAMES for g, given in _GIVEN]
    names = rng.sample(names, _PEOPLE - len(_ABROAD))
    names += [Party(name, f"{name.lower().replace(' ', '.')}@{DOMAIN}") for name in _ABROAD]
    rng.shuffle(names)
    people = {party.address.partition("@")[0]: party for party in names}
    boxes = list(people)
    members = [Member(party.address, box) for box, party in people.items()]
    aliases = tuple(f"{name}@{DOMAIN}" for name in _ALIASES)
    members += [Member(alias, people[rng.choice(boxes)].address) for alias in aliases]

    teams = tuple(f"team{number + 1:02d}@{DOMAIN}" for number in range(_PEOPLE // _TEAM))
    groups = range(0, len(teams), _TEAMS_OF_A_DEPARTMENT)
    departments = tuple(f"dept{number + 1}@{DOMAIN}" for number in range(len(groups)))
    for number, department in enumerate(departments):
        of = teams[groups[number] : groups[number] + _TEAMS_OF_A_DEPARTMENT]
        members += [Member(department, team) for team in of]
        members.append(Member(EVERYBODY, department))
    # Each move is between two teams that nobody else leaves or joins.
    moves = []
    for number in range(_MOVES):
        at = start + timedelta(hours=10 + number, minutes=rng.randrange(60))
        moves.append(Move(boxes[2 * number * _TEAM], teams[2 * number], teams[2 * number + 1], at))
    left = {move.mailbox: move for move in moves}
    for place, box in enumerate(boxes):
        move = left.get(box)
        members.append(Member(teams[place // _TEAM], people[box].address, until=move.at if move else None))
        if move:
            members.append(Member(move.joined, people[box].address, since=move.at))
    servers = {box: SERVERS[place % len(SERVERS)] for place, box in enumerate(boxes)}
    return Directory(people, servers, aliases, teams, departments, tuple(moves), tuple(members))
