"""A TCP proxy that can be told to misbehave: to cut, to swallow, or to answer nonsense, as networks and middle boxes do."""

import asyncio
from types import TracebackType
from typing import Self

from grpc_discovery.addresses import Address
from infra.ports import free_port

EMPTY_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Etcd-Index: 1\r\n\r\n"


class Proxy:
    """Passes bytes between callers of `address` and `target`, both host:port.

    `silent`: connections stay open and nothing passes any more, either way, as in a partition that drops packets.
    `half_open()`: the same for the connections of this moment, for ever; new ones work.
    `refusing`: connections are closed at once, and those that were open are cut.
    `delay`: seconds by which each answer comes later.
    `empty_answers`: each request is answered by HTTP 200 without a body, and goes no further.
    """

    def __init__(self, target: str, host: str = "127.0.0.1") -> None:
        """`host` is where it listens, `::1` for IPv6."""
        self.port = free_port()
        self.address = str(Address(host, self.port))
        self._listens_on = host
        self.silent = False
        self.empty_answers = False
        self.delay = 0.0
        self._refusing = False
        self._host, _, port = target.rpartition(":")
        self._target_port = int(port)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._dead: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def refusing(self) -> bool:
        """Whether it lets nobody in."""
        return self._refusing

    @refusing.setter
    def refusing(self, refuse: bool) -> None:
        self._refusing = refuse
        if refuse:
            self.cut()

    def fall_silent(self) -> None:
        """Let nothing pass, and keep connections open."""
        self.silent = True

    def half_open(self) -> None:
        """Let nothing pass any more on the connections that are open now."""
        self._dead |= self._open

    def answer_nothing(self) -> None:
        """Answer each request by an empty 200, on new connections."""
        self.empty_answers = True
        self.cut()

    def heal(self) -> None:
        """Be a good proxy again; connections that were broken are closed, as the other side would in the end."""
        self.silent = self.empty_answers = self.refusing = False
        self.cut()

    def cut(self) -> None:
        """Close every connection."""
        for writer in list(self._open):
            writer.close()

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, self._listens_on, self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all."""
        if self._server:
            self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._refusing:
            writer.close()
            return
        self._open.add(writer)
        try:
            onward_reader, onward = await asyncio.open_connection(self._host, self._target_port)
        except OSError:
            writer.close()
            return
        self._open.add(onward)
        try:
            await asyncio.gather(self._pass(reader, onward, writer), self._pass(onward_reader, writer, None))
        finally:
            for each in (writer, onward):
                each.close()
                self._open.discard(each)

    async def _pass(
        self, reader: asyncio.StreamReader, onward: asyncio.StreamWriter, back: asyncio.StreamWriter | None
    ) -> None:
        """Pass bytes on until the end; `back` is where an answer of our own goes, on the way of the requests."""
        try:
            while data := await reader.read(65536):
                if self.silent or onward in self._dead:
                    continue
                if self.empty_answers:
                    if back is not None:
                        back.write(EMPTY_ANSWER)
                    continue
                if back is None and self.delay:
                    await asyncio.sleep(self.delay)
                onward.write(data)
                await onward.drain()
            if not self.silent and onward not in self._dead:
                onward.close()
        except (OSError, asyncio.CancelledError):
            onward.close()
