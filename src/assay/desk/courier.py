"""The courier carries events from the outbox to their addresses, one attempt after another, in the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from assay import outbound
from assay.desk.webhooks import Delivery, Webhooks, signature
from assay.errors import AssayError, StoreError
from assay.version import __version__

log = logging.getLogger(__name__)

WITHIN_S = 15.0  # for one attempt
LOOK_S = 2.0  # between two looks for what other processes put down, or what is due again
AT_ONCE = 8


class Courier:
    """Delivers for one gateway; several gateways on one database share the work.

    Parameters
    ----------
    webhooks
        The outbox.
    note
        Called with ``delivered`` or ``failed`` after each attempt.
    """

    def __init__(
        self, webhooks: Webhooks, note: Callable[[str], None] = lambda _: None, *, within_s: float = WITHIN_S
    ) -> None:
        self._webhooks = webhooks
        self._note = note
        self._within_s = within_s
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Deliver until cancelled. What was under way then is tried again by whoever comes next."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(self._woken.set)
            except RuntimeError:  # the loop has ended
                log.debug("the courier is gone; another look will find it")

        self._webhooks.wake = wake
        while True:
            try:
                sent = await self.round()
            except StoreError as e:
                log.error("webhooks wait: %s", e.message)  # noqa: TRY400  it names its cause
                sent = 0
            if not sent:
                try:
                    async with asyncio.timeout(LOOK_S):
                        await self._woken.wait()
                except TimeoutError:
                    pass
                self._woken.clear()

    async def round(self) -> int:
        """Try all that is due now, some at a time; returns how many."""
        due = await asyncio.to_thread(self._webhooks.due, AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for delivery in due:
                group.create_task(self._carry(delivery))
        return len(due)

    async def _carry(self, delivery: Delivery) -> None:
        timestamp = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"Assay/{__version__}",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(delivery.secret, delivery.id, timestamp, delivery.body),
        }
        status = 0
        try:
            place = await outbound.resolved(delivery.url, self._webhooks.inside)
            status = await outbound.post(place, delivery.body, headers, within_s=self._within_s)
            why = "" if 200 <= status < 300 else f"it answered {status}"
        except AssayError as e:
            why = e.message
        if why:
            log.info("delivery %s failed: %s", delivery.id, why)
            await asyncio.to_thread(self._webhooks.failed, delivery, why, gone=status == 410)
        else:
            await asyncio.to_thread(self._webhooks.delivered, delivery)
        self._note("failed" if why else "delivered")
