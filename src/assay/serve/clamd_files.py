"""SCAN, CONTSCAN, MULTISCAN and ALLMATCHSCAN: files that a client names, and what is said of each."""

from __future__ import annotations

import asyncio
import collections
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing

from assay.serve.clamd_commands import Command, seemly
from assay.serve.roots import Entry, OutOfBounds, Roots
from assay.serve.spool import SpoolError
from assay.serve.threads import in_thread

AT_ONCE = 4  # files of one MULTISCAN
Words = Callable[[int], Awaitable[str]]


async def scan(roots: Roots, command: Command, words_of: Words) -> AsyncGenerator[str, None]:
    """Yield the lines of the reply: each file that is not passed, or that the path is OK as a whole.

    SCAN ends at the first file that is not passed; the others go on. MULTISCAN screens several at once.
    """
    clean = True
    entries = roots.entries(command.path)
    most = AT_ONCE if command.word == "MULTISCAN" else 1
    try:
        async with aclosing(_screened(entries, words_of, most)) as screened:
            async for path, words in screened:
                if words == "OK":
                    continue
                clean = False
                yield seemly(f"{path}: {words}")
                if command.word == "SCAN":
                    break
    except OutOfBounds as e:
        clean = False
        yield seemly(f"{command.path}: {e} ERROR")
    finally:
        await in_thread(entries.close)
    if clean:
        yield seemly(f"{command.path}: OK")


async def _screened(
    entries: Generator[Entry, None, None], words_of: Words, most: int
) -> AsyncGenerator[tuple[str, str], None]:
    """Path and words of each entry, in order, with at most `most` of them at work."""
    waiting: collections.deque[tuple[Entry, asyncio.Task[str]]] = collections.deque()
    try:
        while (entry := await in_thread(next, entries, None)) is not None:
            waiting.append((entry, asyncio.ensure_future(_words(entry, words_of))))
            if len(waiting) >= most:
                yield await _first(waiting)
        while waiting:
            yield await _first(waiting)
    finally:
        for entry, task in waiting:
            task.cancel()
            await asyncio.wait({task})
            _close(entry)


async def _first(waiting: collections.deque[tuple[Entry, asyncio.Task[str]]]) -> tuple[str, str]:
    entry, task = waiting[0]
    await asyncio.wait({task})
    waiting.popleft()
    _close(entry)
    return entry.path, task.result()


async def _words(entry: Entry, words_of: Words) -> str:
    if entry.descriptor < 0:
        return f"{entry.problem} ERROR"
    try:
        return await words_of(entry.descriptor)
    except SpoolError as e:
        return f"{e}. ERROR"


def _close(entry: Entry) -> None:
    if entry.descriptor >= 0:
        os.close(entry.descriptor)
