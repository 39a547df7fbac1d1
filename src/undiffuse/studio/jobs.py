"""A queue of drawings: bounded, fair between clients, drawn one at a time in one thread."""

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from undiffuse.errors import explain

if TYPE_CHECKING:
    from undiffuse.studio.drawing import Event, Events

MAX_WAITING, MAX_PER_CLIENT = 64, 16  # drawings
MAX_PENDING = 32 << 20  # characters of events that a slow client has not read; steps are left out
LOG = logging.getLogger("undiffuse.studio")


class QueueFull(Exception):
    """No more drawings are taken now; `retry_after` seconds later perhaps."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(eq=False)
class Job:
    """One drawing: its events, in order, until the one of type "done" or "error"."""

    client: str
    start: Callable[[], "Events"]
    loop: asyncio.AbstractEventLoop
    queue: "asyncio.Queue[tuple[Event, int]]" = field(default_factory=asyncio.Queue)
    cancelled: bool = False
    pending: int = 0  # characters; changed in the loop's thread alone
    position: int = -1

    def put(self, event: "Event") -> None:
        """Hand an event to the reader, from any thread."""
        if not self.cancelled:
            size = sum(len(value) for value in event.values() if isinstance(value, str | bytes))
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads
                self.loop.call_soon_threadsafe(self._put, event, size)

    def _put(self, event: "Event", size: int) -> None:
        if event["type"] in ("step", "partial") and self.pending + size > MAX_PENDING:
            return
        self.pending += size
        self.queue.put_nowait((event, size))

    async def events(self) -> AsyncIterator["Event"]:
        """The events, until the drawing ends. Leaving the loop early does not cancel the job."""
        while True:
            event, size = await self.queue.get()
            self.pending -= size
            yield event
            if event["type"] in ("done", "error"):
                return


class DrawQueue:
    """Takes jobs from clients in turn. `close` ends the thread."""

    def __init__(self, waiting: int = MAX_WAITING, per_client: int = MAX_PER_CLIENT) -> None:
        self._most, self._per_client = waiting, per_client
        self._clients: OrderedDict[str, deque[Job]] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False
        self._seconds = 1.0  # of a drawing, a running mean
        self.current: Job | None = None
        self._thread = threading.Thread(target=self._work, name="drawing", daemon=True)
        self._thread.start()

    def submit(self, client: str, start: Callable[[], "Events"]) -> Job:
        """Queue a drawing, from the event loop. `start` is called in the drawing thread.

        QueueFull if there are too many already, of this client or of all.
        """
        job = Job(client, start, asyncio.get_running_loop())
        with self._changed:
            waiting = sum(map(len, self._clients.values()))
            own = len(self._clients.get(client, ()))
            if self._closed or waiting >= self._most or own >= self._per_client:
                whose = "you have" if own >= self._per_client else "there are"
                retry_after = max(1, math.ceil(self._seconds * (own or waiting)))
                message = f"{whose} {own or waiting} drawings waiting: try again later"
                raise QueueFull(message, retry_after)
            self._clients.setdefault(client, deque()).append(job)
            self._report_positions()
            self._changed.notify()
        return job

    def cancel(self, job: Job) -> None:
        """Take a job out of the queue, or end it after the step that it is at."""
        job.cancelled = True
        with self._changed:
            jobs = self._clients.get(job.client)
            if jobs and job in jobs:
                jobs.remove(job)
                if not jobs:
                    del self._clients[job.client]
                self._report_positions()

    def close(self) -> None:
        """Cancel everything and end the thread."""
        with self._changed:
            self._closed = True
            for jobs in self._clients.values():
                for job in jobs:
                    job.put({"type": "error", "message": "the studio stops"})
            self._clients.clear()
            if self.current is not None:
                self.current.cancelled = True
            self._changed.notify()
        self._thread.join(10)

    def _order(self) -> list[Job]:
        """The waiting jobs in the order in which they will be drawn."""
        rows = [list(jobs) for jobs in self._clients.values()]
        longest = max(map(len, rows), default=0)
        return [row[turn] for turn in range(longest) for row in rows if turn < len(row)]

    def _report_positions(self) -> None:
        ahead = 0 if self.current is None else 1
        for position, job in enumerate(self._order(), start=ahead):
            if job.position != position:
                job.position = position
                job.put({"type": "queued", "position": position})

    def _next(self) -> Job | None:
        with self._changed:
            while not self._clients and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            client, jobs = self._clients.popitem(last=False)
            job = self.current = jobs.popleft()
            if jobs:
                self._clients[client] = jobs  # behind the others
            self._report_positions()
            return job

    def _work(self) -> None:
        while (job := self._next()) is not None:
            started = time.monotonic()
            self._run(job)
            self._seconds += 0.2 * (time.monotonic() - started - self._seconds)
            with self._changed:
                self.current = None

    def _run(self, job: Job) -> None:
        try:
            for event in job.start():
                if job.cancelled:
                    return
                if event is not None:
                    job.put(event)
            job.put({"type": "done"})
        except Exception as error:
            message = explain(error)
            if message is None:
                LOG.exception("a drawing failed")
            job.put(error_event(message))


def error_event(message: str | None) -> dict[str, Any]:
    """The last event of a drawing that failed; None for a bug of this package."""
    known = message is not None
    text = message if known else "the studio made a mistake; its log has the details"
    return {"type": "error", "message": text, "fault": "request" if known else "server"}
