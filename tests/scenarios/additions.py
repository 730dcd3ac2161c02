"""A service and a call, as CONTRIBUTING.md tells to add them: the files that are written by hand, and nothing else.

`SERVICE` and `CALL` map a path in the checkout to what is done there: a whole new file, or insertions into one that is there.
"""

from pathlib import Path
from typing import NamedTuple


class NewFile(NamedTuple):
    """A file that is not there yet."""

    text: str

    def apply(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        assert not path.exists(), path
        path.write_text(self.text, encoding="utf-8")


class Insertions(NamedTuple):
    """Texts put before others that the file holds once each; '' stands for its end."""

    before: dict[str, str]

    def apply(self, path: Path) -> None:
        content = path.read_text(encoding="utf-8")
        for place, text in self.before.items():
            if place:
                assert content.count(place) == 1, f"{path} holds {place!r} {content.count(place)} times"
                content = content.replace(place, f"{text}{place}")
            else:
                content += text
        path.write_text(content, encoding="utf-8")


Change = NewFile | Insertions


def apply(changes: dict[str, Change], root: Path) -> None:
    """Make the changes in the checkout at `root`."""
    for name, change in changes.items():
        change.apply(root / name)


SERVICE: dict[str, Change] = {
    "protos/playlists.proto": NewFile("""\
// Lists of videos that users put together.
syntax = "proto3";

package killrvideo.playlists;

import "protos/common.proto";

service PlaylistsService {
  // The same playlist_id again overwrites.
  rpc CreatePlaylist(CreatePlaylistRequest) returns (CreatePlaylistResponse) {
    option idempotency_level = IDEMPOTENT;
  }
}

message CreatePlaylistRequest {
  killrvideo.common.Uuid user_id = 1;
  killrvideo.common.Uuid playlist_id = 2;
  string name = 3;
}

message CreatePlaylistResponse {}
"""),
    "common/catalogue.py": Insertions(
        {
            '        KnownService("VideoCatalogService"': """\
        KnownService("PlaylistsService", "playlists", 8801, "Lists of videos that users put together."),
"""
        }
    ),
    "schema/killrvideo.cql": Insertions(
        {
            "": """
-- Written by playlists: the playlists of a user.
CREATE TABLE IF NOT EXISTS playlists (
    userid     uuid,
    playlistid uuid,
    name       text,
    PRIMARY KEY ((userid), playlistid)
);
"""
        }
    ),
    "services/playlists/service.py": NewFile('''\
"""The playlists service: what it needs and how it is put together."""

from common.catalogue import SERVICES
from common.service import Service
from services.playlists.repository import STATEMENTS, PlaylistsRepository
from services.playlists.servicer import PlaylistsServicer

SERVICE = Service(
    SERVICES["PlaylistsService"],
    statements=STATEMENTS,
    build=lambda database, settings: PlaylistsServicer(PlaylistsRepository(database)),
)
'''),
    "services/playlists/servicer.py": NewFile('''\
"""The calls of PlaylistsService."""

from typing import Any

from common.requests import RequestReader
from grpc_discovery import shielded
from protos import playlists_pb2 as messages
from protos.playlists_pb2_grpc import PlaylistsServiceServicer
from services.playlists.repository import PlaylistsRepository

MAX_NAME = 100


class PlaylistsServicer(PlaylistsServiceServicer):
    """Putting lists of videos together."""

    def __init__(self, repository: PlaylistsRepository) -> None:
        self._repository = repository

    async def CreatePlaylist(
        self, request: messages.CreatePlaylistRequest, context: Any
    ) -> messages.CreatePlaylistResponse:
        """Create a playlist; the same playlist_id again overwrites its name."""
        reader = RequestReader(request)
        user_id, playlist_id = reader.uuid("user_id"), reader.uuid("playlist_id")
        name = reader.text("name", MAX_NAME)
        reader.raise_if_invalid()
        await shielded(self._repository.add(user_id, playlist_id, name))
        return messages.CreatePlaylistResponse()
'''),
    "services/playlists/repository.py": NewFile('''\
"""Where playlists are kept: in one partition for each user."""

from uuid import UUID

from common.database import Database, Write

INSERT = Write("INSERT INTO playlists (userid, playlistid, name) VALUES (?, ?, ?)")

STATEMENTS = (INSERT,)


class PlaylistsRepository:
    """Writes playlists."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user_id: UUID, playlist_id: UUID, name: str) -> None:
        """Write a playlist; one with the same id is overwritten."""
        await self._database.write(INSERT, user_id, playlist_id, name)
'''),
}
"""A service with one table and one call."""

CALL: dict[str, Change] = {
    "protos/comments.proto": Insertions(
        {
            "}\n\nmessage CommentOnVideoRequest {": """\
  rpc GetLatestComment(GetLatestCommentRequest) returns (GetLatestCommentResponse) {
    option idempotency_level = NO_SIDE_EFFECTS;
  }
""",
            "message UserComment {": """\
message GetLatestCommentRequest {
  killrvideo.common.Uuid video_id = 1;
}

message GetLatestCommentResponse {
  killrvideo.common.Uuid user_id = 1;
  string comment = 2;
}

""",
        }
    ),
    "services/comments/servicer.py": Insertions(
        {
            "\n\ndef _comment_id(": '''\

    async def GetLatestComment(
        self, request: messages.GetLatestCommentRequest, context: Any
    ) -> messages.GetLatestCommentResponse:
        """The newest comment on a video."""
        reader = RequestReader(request)
        video_id = reader.uuid("video_id")
        reader.raise_if_invalid()
        row = await self._repository.latest_of_video(video_id)
        if row is None:
            raise NotFound(f"nobody has commented on video {video_id}")
        return messages.GetLatestCommentResponse(user_id=uuid_message(row.user_id), comment=row.comment)
''',
            "shielded\nfrom protos": "NotFound, ",
        }
    ),
    "services/comments/repository.py": Insertions(
        {
            "\nSTATEMENTS = (": """\
LATEST_OF_VIDEO = Select(
    "SELECT commentid, userid, comment FROM comments_by_video WHERE videoid = ? LIMIT 1", VideoCommentRow
)
""",
            ")\n\n\nclass CommentsRepository": "    LATEST_OF_VIDEO,\n",
            "": '''
    async def latest_of_video(self, video_id: UUID) -> VideoCommentRow | None:
        """The newest comment on a video; None where there is none."""
        return await self._database.select_one(LATEST_OF_VIDEO, video_id)
''',
        }
    ),
}
"""A call of a service that is there."""
