"""Producers that recover: whoever says something to the log holds one that is thrown away and built anew once its state is lost.

Place in the flow: what a service appends → **producer** → Kafka. How a producer behaves is set in `autonomy.kafka`; here is how long one
lives.

An idempotent producer numbers its batches per partition. A batch that fails has used its number: the broker then refuses every later
one with OUT_OF_ORDER_SEQUENCE_NUMBER, for ever. The client does not mend that (Java's asks for a new epoch), and neither does an outage's
end: a batch that is too old when the broker is back, and has no leader yet, fails just so. So no producer is trusted after its first failed
batch, nor after one that has no answer for `UNRESOLVED_S`. What was under way then is unknown, never "failed": a batch that the broker has
may still show in the log.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Self, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder
from prometheus_client import Counter

from autonomy import clock
from autonomy.envelope import CONTENT_TYPE
from autonomy.errors import Retryable

log = logging.getLogger(__name__)
Client = TypeVar("Client")
LOST: Final = (KafkaError, OSError, TimeoutError, Retryable)
"""Kafka does not answer now; a record that was being sent may land later."""
NOT_TAKEN: Final = (KafkaTimeoutError, MessageSizeTooLargeError)
"""What the client answers before it gives a batch its number: nothing was lost."""
LOOK_S: Final = 5.0
LOOKS: Final = 3
UNRESOLVED_S: Final = LOOK_S * LOOKS
"""Longer than the client's own request timeout and than a new leader of a partition takes (12 s at most). Counted in looks, so that a
process that was frozen gets its answers first."""
READY_WITHIN_S: Final = 5.0
BUILD_WITHIN_S: Final = 30.0
REST_S: Final = 1.0
"""Between two builds: what fails each time (a right that is missing) costs one producer a second, no more."""
STOP_WITHIN_S: Final = 3.0
"""Each for sending what there is and for letting go: a service waits 10 s for both."""
REPLACED = Counter("autonomy_producers_replaced", "Producers that were thrown away and built anew", ["fault"])


@dataclass(slots=True)
class Renewed(Generic[Client]):
    """Owns a client that says things to the log, and replaces it when it failed.

    Attributes:
        build: makes and starts one.
        discard: lets one go at once; what it has under way is given up.
        client: the one in use; None while there is none.
        problem: why there is none, or why the last one was replaced; "" once something was acknowledged since.
    """

    build: Callable[[], Awaitable[Client]]
    discard: Callable[[Client], Coroutine[Any, Any, None]]
    client: Client | None = None
    problem: str = ""
    building: "asyncio.Task[None] | None" = None
    discarding: "set[asyncio.Task[None]]" = field(default_factory=set)
    begun_mono_ms: float = -1e15
    closed: bool = False

    async def ready(self, within_s: float = READY_WITHIN_S) -> Client:
        """The client, built if there is none.

        Raises:
            KafkaConnectionError: there is none within `within_s`; nothing was sent.
        """
        if self.client is None and not self.closed:
            if self.building is None or self.building.done():
                self.building = asyncio.create_task(self._build())
            await asyncio.wait({self.building}, timeout=within_s)
            if self.building.done() and not self.building.cancelled():
                self.building.result()  # a fault of this code, which no other try would mend
        if self.client is None:
            raise KafkaConnectionError(f"no producer within {within_s:.0f} s: {self.problem or 'none could be built yet'}")
        return self.client

    def renew(self, client: Client, fault: BaseException) -> None:
        """Throw away this client, if it is still the one in use, and build another in the background."""
        if client is not self.client or self.closed:
            return
        log.warning("the producer is replaced: %r", fault)
        REPLACED.labels(type(fault).__name__).inc()
        self.client, self.problem = None, words_of(fault)
        letting_go = asyncio.create_task(self.discard(client))
        self.discarding.add(letting_go)
        letting_go.add_done_callback(self._let_go)
        self.building = asyncio.create_task(self._build())

    async def close(self) -> None:
        """Let go of everything."""
        self.closed = True
        if self.building is not None:
            self.building.cancel()
            await asyncio.gather(self.building, return_exceptions=True)
        client, self.client = self.client, None
        if client is not None:
            await self.discard(client)
        await asyncio.gather(*self.discarding, return_exceptions=True)

    async def _build(self) -> None:
        while True:
            await asyncio.sleep(max(0.0, REST_S - (clock.monotonic_ms() - self.begun_mono_ms) / 1000))
            self.begun_mono_ms = clock.monotonic_ms()
            try:
                async with asyncio.timeout(BUILD_WITHIN_S):
                    self.client = await self.build()
            except LOST as refusal:
                self.problem = words_of(refusal)
                log.warning("no producer yet: %r", refusal)
            else:
                return

    def _let_go(self, done: "asyncio.Task[None]") -> None:
        self.discarding.discard(done)
        if not done.cancelled() and (fault := done.exception()) is not None:
            log.warning("a producer did not stop cleanly: %r", fault)


def words_of(fault: BaseException) -> str:
    """A fault in words: its class is what an operator looks up."""
    return f"{type(fault).__name__}: {fault}" if str(fault) else type(fault).__name__


async def discard(producer: AIOKafkaProducer) -> None:
    """Let go of a producer without waiting for what it has under way; whoever waits for that hears that it is unknown.

    Its own `stop` first waits for every batch, and goes on sending them until they land: for one that is stuck, for ever.
    """
    producer._message_accumulator.fail_all(KafkaTimeoutError("unknown: the producer was replaced"))  # noqa: SLF001 (there is no public way)
    stopping = asyncio.ensure_future(producer.stop())
    await asyncio.wait({stopping}, timeout=STOP_WITHIN_S)
    if not stopping.done():
        stopping.cancel()
        await producer.client.close()
    elif not stopping.cancelled() and (fault := stopping.exception()) is not None:
        log.warning("a producer did not stop cleanly: %r", fault)


@dataclass(slots=True)
class Producer:
    """An idempotent producer for good: whatever becomes of one client, the next record finds a live one.

    A client that is let go forgets the batches that were on their way to a broker: whoever waits for one would wait for ever, in silence.
    So nobody waits for a client's own future, and all that are open end with the client that had them.

    Attributes:
        maker: the client that was live last; builders of batches come from it, they belong to no client.
        open_answers: what somebody may wait for, and the client that it is to come from.
    """

    renewed: Renewed[AIOKafkaProducer]
    maker: AIOKafkaProducer
    open_answers: "dict[asyncio.Future[Any], AIOKafkaProducer]" = field(default_factory=dict)

    @classmethod
    async def open(cls, build: Callable[[], Awaitable[AIOKafkaProducer]]) -> Self:
        """Build the first client.

        Raises:
            Retryable: no broker answers.
        """
        first = await build()
        return cls(Renewed(build, discard, client=first), first)

    def create_batch(self) -> BatchBuilder:
        """An empty batch."""
        return self.maker.create_batch()

    async def send_batch(self, builder: BatchBuilder, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        """Hand over a batch; the future ends with its ack.

        Raises:
            KafkaError: not sent. The future raises it, too: then it is unknown whether the batch landed.
        """
        client = self.maker = await self.renewed.ready()
        return await self._watched(client, client.send_batch(builder, topic, partition=partition))

    async def send(self, topic: str, value: bytes, *, key: bytes, partition: int) -> None:
        """Hand over a record that nobody waits for; a loop that says it each second is not held up by a missing producer.

        Raises:
            KafkaError: not sent.
        """
        client = self.maker = await self.renewed.ready(0)
        _ = await self._watched(client, client.send(topic, value, key=key, partition=partition, headers=[CONTENT_TYPE]))

    async def stop(self) -> None:
        """Send what there is, within `STOP_WITHIN_S`, and disconnect."""
        if self.renewed.client is not None:
            flushing = asyncio.ensure_future(self.renewed.client.flush())
            await asyncio.wait({flushing}, timeout=STOP_WITHIN_S)
            flushing.cancel()
        await self.renewed.close()

    async def _watched(self, client: AIOKafkaProducer, sending: "Awaitable[asyncio.Future[Any]]") -> "asyncio.Future[Any]":
        try:
            future = await sending
        except NOT_TAKEN:
            raise
        except KafkaError as refusal:
            self._renew(client, refusal)
            raise
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.open_answers[answer] = client
        answer.add_done_callback(self._answered)
        future.add_done_callback(lambda done: self._heard(client, done, answer))
        self._look(client, answer, LOOKS)
        if client is not self.renewed.client:  # it was let go while it took the batch
            self._give_up(client)
        return answer

    def _heard(self, client: AIOKafkaProducer, done: "asyncio.Future[Any]", answer: "asyncio.Future[Any]") -> None:
        if done.cancelled():
            return
        fault = done.exception()
        if not answer.done():
            if fault is None:
                answer.set_result(done.result())
            else:
                answer.set_exception(fault)
        if fault is not None:
            self._renew(client, fault)
        elif client is self.renewed.client:
            self.renewed.problem = ""

    def _answered(self, answer: "asyncio.Future[Any]") -> None:
        del self.open_answers[answer]
        if not answer.cancelled():
            answer.exception()  # nobody waits for a pulse

    def _renew(self, client: AIOKafkaProducer, fault: BaseException) -> None:
        self.renewed.renew(client, fault)
        if client is not self.renewed.client:
            self._give_up(client)

    def _give_up(self, client: AIOKafkaProducer) -> None:
        """What a client that was let go had on its way is unknown, for good."""
        for answer, of in list(self.open_answers.items()):
            if of is client and not answer.done():
                answer.set_exception(KafkaTimeoutError("unknown: the producer was replaced before the broker answered"))

    def _look(self, client: AIOKafkaProducer, future: "asyncio.Future[Any]", left: int) -> None:
        if future.done() or client is not self.renewed.client:
            return
        if left:
            asyncio.get_running_loop().call_later(LOOK_S, self._look, client, future, left - 1)
        else:
            self._renew(client, KafkaTimeoutError(f"no answer to a batch for {UNRESOLVED_S:.0f} s"))
