"""Devices that speak through an MQTT broker.

1. Two sessions for each broker: one for the devices that may say something urgent, one for those that only measure. A storm of
   measurements then holds up no event, neither here nor in the broker's queue; each keeps its own order (``Listening``).
2. Of a storm, the latest value of each point stays; an event is never merged with another, nor left out.
3. Reconnects by itself within 30 s of the broker's return; an outage is two lines in the log.

The second session exists from the first device on that only measures.
"""

import asyncio
import random
from collections.abc import Callable, Iterable
from functools import partial

import structlog

from device_profiles import Keys
from edge.config import DeviceBroker
from edge.drivers.listening import Listening
from edge.drivers.routes import Listener, Routes
from edge.drivers.session import Resolve, Session
from edge.logbook import Logbook
from edge.tally import Tally

log = structlog.get_logger()


class DeviceBrokerLink:
    """Listens until cancelled; ``replace`` may be called at any time. See the module."""

    def __init__(
        self,
        config: DeviceBroker,
        resolve: Resolve,
        identifier: str,
        logbook: Logbook,
        tally: Tally,
        keys: Keys,
        chance: random.Random,
    ) -> None:
        self._config = config
        self._troubles: dict[str, str] = {}
        self._trouble: str | None = None
        self._measured = asyncio.Event()

        def listening(name: str, *, thins: bool) -> Listening:
            connect: Callable[[], Session] = partial(Session, config, resolve, name, logbook.utc)
            return Listening(connect, logbook, tally, keys, chance, partial(self._note, name), thins=thins)

        self._urgent = listening(identifier, thins=False)
        self._measuring = listening(f"{identifier}-measuring", thins=True)

    def replace(self, listeners: Iterable[Listener]) -> None:
        urgent: list[Listener] = []
        measuring: list[Listener] = []
        for listener in listeners:
            (urgent if listener.is_urgent else measuring).append(listener)
        these, those = Routes(urgent), Routes(measuring)
        self._urgent.replace(these, elsewhere=those.filters)
        self._measuring.replace(those, elsewhere=these.filters)
        if measuring:
            self._measured.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._urgent.run(), name=f"{self._config.id}-urgent")
            tasks.create_task(self._measure(), name=f"{self._config.id}-measuring")

    async def _measure(self) -> None:
        await self._measured.wait()
        await self._measuring.run()

    def _note(self, session: str, trouble: str) -> None:
        """Logs changes of the connection to the broker, not each try and not each session."""
        self._troubles[session] = trouble
        trouble = next(filter(None, self._troubles.values()), "")
        if trouble and not self._trouble:
            log.warning("device broker unavailable", broker=self._config.id, url=self._config.url, reason=trouble)
        elif not trouble and self._trouble != "":
            log.info("device broker connected", broker=self._config.id, url=self._config.url)
        self._trouble = trouble
