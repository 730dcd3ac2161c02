"""Counting plays while a node of Cassandra is lost.

An increment is not idempotent, so it is made once. And Cassandra lets a replica drawn by lot apply it, also one that is dead while the ring has not
noticed: with three replicas every third increment fails then, for some 18 seconds. So when an increment is slow, the counter is probed by
increments of zero, for which plays wait. While some of them are not answered, plays go to `play_journal`: a row for each process and video, which
says how many plays it has taken there. Writing it again changes nothing. A Cassandra of one node has no other to answer for it, so there plays
always go to the counter. docs/decisions/0304.
"""

import asyncio
from time import time_ns
from typing import NamedTuple
from uuid import UUID, uuid4

from common.caches import CacheSize, watch
from common.database import Database, Select, Write
from grpc_discovery import ServiceError
from grpc_discovery.serving.deadlines import set_time_left


class PeerRow(NamedTuple):
    """A node that the one that answers knows."""

    host_id: UUID


# A counter is not idempotent: nobody may try this again behind the caller's back.
ADD_PLAY = Write("UPDATE video_playback_stats SET views = views + 1 WHERE videoid = ?", idempotent=False)
PROBE = Write("UPDATE video_playback_stats SET views = views + 0 WHERE videoid = ?", idempotent=False)
JOURNAL = Write("INSERT INTO play_journal (videoid, process, plays) VALUES (?, ?, ?)")
PEER = Select("SELECT host_id FROM system.peers LIMIT 1", PeerRow)

SLOW_SECONDS = 0.3
"""An increment that takes longer is a reason to probe the counter."""

PROBES, PROBE_SECONDS = 20, 0.5
"""Side by side, on one video. With one of three replicas dead, all are answered by the two others once in 3,000 times."""

_SECONDS_BETWEEN_PROBES = 1.0

_SECONDS_WITHOUT_WAITING = 10.0
"""After a probe that found nothing: where all is slow, plays must not wait for one probe after the other."""

_MAX_JOURNALED_VIDEOS = 10_000
_JOURNALED_BYTES = 300


class _Journal:
    """The plays that one process takes beside the counters, from the time a node is missed until it is not."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._process = uuid4()
        self._plays: dict[UUID, int] = {}
        self._timestamp_us = 0

    @property
    def videos(self) -> int:
        """Of how many videos it has taken plays."""
        return len(self._plays)

    async def add(self, video_id: UUID) -> None:
        """Write one more play. Raises what `Database.write` raises."""
        if video_id not in self._plays and len(self._plays) >= _MAX_JOURNALED_VIDEOS:
            self._process, self._plays = uuid4(), {}
        plays = self._plays[video_id] = self._plays.get(video_id, 0) + 1
        # The larger number has the later timestamp, in whichever order they are written.
        self._timestamp_us = max(time_ns() // 1000, self._timestamp_us + 1)
        await self._database.write(JOURNAL, video_id, self._process, plays, timestamp_us=self._timestamp_us)


class PlayCounter:
    """Counts plays in the counters, or in the journal while some of the counters' replicas do not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._journal: _Journal | None = None
        self._probing: asyncio.Task[None] | None = None
        self._has_peers: bool | None = None
        self._next_probe = self._waiting_from = 0.0
        watch("journaled_plays", self, PlayCounter.journal_size)

    async def add(self, video_id: UUID) -> None:
        """Count one more play of a video, once. Raises what `Database.write` raises; whether the play was counted is unknown then."""
        loop = asyncio.get_running_loop()
        if self._has_peers is None:
            self._has_peers = await self._database.select_one(PEER) is not None
        if self._journal:
            self._probe_if_due(video_id)
        elif self._probing and loop.time() >= self._waiting_from:
            await asyncio.wait([self._probing])
        if self._journal:
            await self._journal.add(video_id)
            return
        slow = loop.call_later(SLOW_SECONDS, self._probe_if_due, video_id)
        try:
            await self._database.write(ADD_PLAY, video_id)
        except ServiceError:
            self._probe_if_due(video_id)
            raise
        finally:
            slow.cancel()

    def journal_size(self) -> CacheSize:
        """How many videos have plays beside their counters, and about how many bytes these take."""
        return CacheSize.estimated(self._journal.videos if self._journal else 0, _JOURNALED_BYTES)

    def _probe_if_due(self, video_id: UUID) -> None:
        """Probe the counter of a video in the background, unless that is under way or was done a short while ago."""
        if self._has_peers and self._probing is None and asyncio.get_running_loop().time() >= self._next_probe:
            self._probing = asyncio.create_task(self._probe(video_id))

    async def _probe(self, video_id: UUID) -> None:
        set_time_left(PROBE_SECONDS)
        loop = asyncio.get_running_loop()
        try:
            if all(await asyncio.gather(*(self._is_answered(video_id) for _ in range(PROBES)))):
                self._journal = None
            elif not self._journal:
                self._journal = _Journal(self._database)
        finally:
            self._probing, self._next_probe = None, loop.time() + _SECONDS_BETWEEN_PROBES
        if not self._journal:
            self._waiting_from = loop.time() + _SECONDS_WITHOUT_WAITING

    async def _is_answered(self, video_id: UUID) -> bool:
        try:
            await self._database.write(PROBE, video_id)
        except ServiceError:
            return False
        return True
