from __future__ import annotations

import asyncio
import hashlib
import os
import time

import pytest

from assay.serve.spool import BLOCK, OverSize, Spool, SpoolError
from assay.serve.threads import in_thread


def test_what_arrives_in_pieces_is_hashed_and_read_as_one():
    async def spool() -> None:
        with Spool(None, 10 * BLOCK) as spool:
            for _ in range(9):
                await spool.add(b"x" * (BLOCK - 1))
            made = await spool.submission(protocol="clamd", command="INSTREAM", client="unix")
            content = b"x" * (9 * BLOCK - 9)
            assert (made.size, made.sha256) == (len(content), hashlib.sha256(content).hexdigest())
            assert os.pread(made.descriptor, made.size + 1, 0) == content
            assert await spool.block(len(content)) == b""

    asyncio.run(spool())


def test_the_file_has_no_name(tmp_path):
    with Spool(str(tmp_path), 10):
        assert list(tmp_path.iterdir()) == []


def test_more_than_the_limit_is_refused_and_none_of_it_kept():
    async def spool() -> None:
        with Spool(None, 10) as spool:
            await spool.add(b"12345")
            with pytest.raises(OverSize):
                await spool.add(b"678901")
            await spool.flush()
            assert spool.read(100, 0) == b"12345"

    asyncio.run(spool())


def test_a_disk_that_is_full_is_told(tmp_path):
    async def spool() -> None:
        with Spool(None, 1 << 20) as spool, open("/dev/full", "wb") as full:  # noqa: ASYNC230
            os.dup2(full.fileno(), spool._file.fileno())
            with pytest.raises(SpoolError, match="No space left"):
                await spool.add(b"x" * BLOCK)

    asyncio.run(spool())


def test_a_cancelled_task_stays_until_its_thread_is_done():
    over = []

    async def work() -> None:
        task = asyncio.create_task(in_thread(lambda: (time.sleep(0.1), over.append(1))))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert over == [1]

    asyncio.run(work())
