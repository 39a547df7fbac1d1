"""The queue: in turn, bounded, cancelled when the client leaves; memory stays flat."""

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.studio.conftest import Studio, wait_until
from undiffuse.studio.jobs import MAX_PENDING, DrawQueue, QueueFull


@pytest.fixture
def queue() -> Iterator[DrawQueue]:
    made = DrawQueue(waiting=10, per_client=4)
    yield made
    made.close()


def blocked(gate: threading.Event) -> Callable[[], Iterator[Any]]:
    def start() -> Iterator[Any]:
        while not gate.wait(0.01):
            yield None

    return start


def test_clients_are_served_in_turn(queue: DrawQueue) -> None:
    order: list[str] = []

    def job(name: str) -> Callable[[], Iterator[Any]]:
        def start() -> Iterator[Any]:
            order.append(name)
            yield None

        return start

    async def run() -> None:
        gate = threading.Event()
        first = queue.submit("z", blocked(gate))
        jobs = [queue.submit("a", job(f"a{k}")) for k in range(3)]
        jobs += [queue.submit("b", job("b0")), queue.submit("c", job("c0"))]
        assert (await anext(jobs[2].events()))["type"] == "queued"
        gate.set()
        for one in (first, *jobs):
            assert [e async for e in one.events()][-1] == {"type": "done"}

    asyncio.run(run())
    assert order == ["a0", "b0", "c0", "a1", "a2"]


def test_positions_count_down(queue: DrawQueue) -> None:
    async def run() -> list[int]:
        gate = threading.Event()
        queue.submit("z", blocked(gate))
        await asyncio.sleep(0.1)  # it is being drawn
        other = queue.submit("a", lambda: iter([None]))
        last = queue.submit("a", lambda: iter([None]))
        queue.cancel(other)
        gate.set()
        return [e["position"] async for e in last.events() if e["type"] == "queued"]

    assert asyncio.run(run()) == [2, 1]


def test_a_full_queue_says_when_to_come_back(queue: DrawQueue) -> None:
    async def run() -> None:
        gate = threading.Event()
        queue.submit("z", blocked(gate))
        await asyncio.sleep(0.1)
        for _ in range(4):
            queue.submit("a", blocked(gate))
        with pytest.raises(QueueFull, match="you have 4") as refused:
            queue.submit("a", blocked(gate))
        assert refused.value.retry_after >= 1
        for number in range(6):
            queue.submit(f"b{number}", blocked(gate))
        with pytest.raises(QueueFull, match="there are 10"):
            queue.submit("new", blocked(gate))
        gate.set()

    asyncio.run(run())


def test_a_slow_reader_loses_steps_but_not_the_end(queue: DrawQueue) -> None:
    text = "x" * (MAX_PENDING // 4 - 100)

    def start() -> Iterator[Any]:
        for number in range(20):
            yield {"type": "step", "x_t": text, "step": number}
        yield {"type": "picture"}

    async def run() -> list[Any]:
        job = queue.submit("a", start)
        await asyncio.sleep(0.5)
        return [event async for event in job.events()]

    events = asyncio.run(run())
    assert [event["type"] for event in events] == ["queued", *["step"] * 4, "picture", "done"]


def test_a_bug_is_logged_and_the_next_drawing_works(
    queue: DrawQueue, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> Iterator[Any]:
        raise ZeroDivisionError
        yield

    async def run() -> None:
        events = [event async for event in queue.submit("a", broken).events()]
        assert events[-1]["fault"] == "server"
        assert [e async for e in queue.submit("a", lambda: iter([None])).events()][-1] == {
            "type": "done"
        }

    asyncio.run(run())
    assert "ZeroDivisionError" in caplog.text


def test_a_client_that_leaves_ends_its_drawing(studio: Studio) -> None:
    body = json.dumps({"prompt": "cat", "steps": 1000, "count": 4, "keep": False}).encode()
    head = (
        "POST /api/draw HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", studio.port)) as client:
        client.sendall(head.encode() + body)
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
        wait_until(lambda: studio.state.queue.current is not None)
    wait_until(lambda: studio.state.queue.current is None, 5)
    assert studio.draw(prompt="cat", steps=1)[-1]["type"] == "done"


def resident() -> int:
    """This process's memory in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_fifty_drawings_of_five_clients_are_served_in_turn(studio: Studio) -> None:
    finished: list[int] = []

    def draw(client: int, number: int) -> None:
        settings = {"prompt": f"cat {client} {number}", "steps": 2, "seed": number}
        reply = studio.post("/api/draw", settings, cookie=f"undiffuse_client=client-{client}")
        assert reply.status == 200, reply.body
        assert reply.events()[-1] == {"type": "done"}
        finished.append(client)

    draw(0, 99)
    before = None
    with ThreadPoolExecutor(50) as pool:
        jobs = [pool.submit(draw, client, number) for client in range(5) for number in range(10)]
        for job in jobs:
            job.result(120)
            before = before or resident()
    assert len(finished) == 51
    assert resident() - before < 50 << 20
    # Each fifth of the drawings holds about as many of each client.
    for start in (11, 21, 31):
        assert set(finished[start : start + 10]) == {0, 1, 2, 3, 4}


@pytest.mark.slow
def test_too_many_drawings_of_one_client_are_refused(studio: Studio) -> None:
    refused = []

    def draw(number: int) -> None:
        reply = studio.post("/api/draw", {"steps": 30, "seed": number, "keep": False})
        if reply.status == 429:
            assert int(reply.headers["retry-after"]) >= 1
            refused.append(number)

    with ThreadPoolExecutor(24) as pool:
        list(pool.map(draw, range(24)))
    assert 1 <= len(refused) <= 8
