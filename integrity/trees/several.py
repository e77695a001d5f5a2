"""How are many things read at once, and handed over in their order?"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

__all__ = ["Stop", "in_order"]

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

#: How many may be done, or be waited for, ahead of one that takes long.
_AHEAD: Final = 4_096
#: After so many seconds of waiting somebody may want to know that it goes on.
_BEAT: Final = 0.5
#: Set when nobody wants the rest; who reads a large file looks at it now and then.
Stop = threading.Event


def in_order(
    given: Iterable[_Given],
    work: Callable[[_Given, Stop], _Made],
    at_once: int,
    here: Callable[[_Given], bool],
) -> Generator[_Made | None, None, None]:
    """Yield what is made of each thing, in the order of the things, a few of them in the making at a time.

    While one takes long, ``None`` comes now and then: who asks is not kept from being interrupted.

    Args:
        given: What to work on; taken when there is room for more.
        work: What to do with each, in some thread; it may raise.
        at_once: How many threads there are.
        here: Whether something is so little work that handing it to a thread would take longer.
    """
    stop = Stop()
    waiting: deque[Future[_Made] | _Done[_Made]] = deque()
    with ThreadPoolExecutor(at_once, thread_name_prefix="integrity-read") as pool:
        try:
            for each in given:
                if not here(each):
                    waiting.append(pool.submit(work, each, stop))
                elif waiting:
                    waiting.append(_Done(work(each, stop)))
                else:
                    yield work(each, stop)
                # As many as are at work, and some that are done and wait for one before them.
                while waiting and (waiting[0].done() or len(waiting) > _AHEAD):
                    yield from _waited(waiting.popleft())
            while waiting:
                yield from _waited(waiting.popleft())
        finally:
            stop.set()
            for future in waiting:
                future.cancel()


def _waited(future: Future[_Made] | _Done[_Made]) -> Generator[_Made | None, None, None]:
    if isinstance(future, Future):
        while wait([future], _BEAT).not_done:
            yield None
    yield future.result()


@dataclass(frozen=True, slots=True)
class _Done(Generic[_Made]):
    """What was made at once, as if it had been waited for."""

    made: _Made

    def done(self) -> bool:
        return True

    def result(self) -> _Made:
        return self.made

    def cancel(self) -> bool:
        return False
