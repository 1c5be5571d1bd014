"""Which fields of each API a recording may keep.

DigitalOcean's table is made from its published document (`scripts/recording_fields.py`). The
others are short, and written by hand after LiveKit's protobuf definitions, S3's published
operations, Slack's method references, and what the bot's own scripts print.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

OUT = "out"
Node = Any
FILE = Path(__file__).with_name("digitalocean.json")
PAGES: dict[str, Node] = {"links": "$page_links", "meta": {"total": "number"}}
# Lists that doctor and init read, and that the cut of the published document leaves out.
FURTHER: dict[str, Node] = {
    "GET /v2/regions": {"regions": ["$region"], **PAGES},
    "GET /v2/images": {"images": [{"id": "id:image", "slug": "slug", "status": OUT}], **PAGES},
    "GET /v2/account/keys": {"ssh_keys": [{"id": "id:key"}], **PAGES},
    "GET /v2/projects": {"projects": [{"id": "id:project", "is_default": "boolean"}], **PAGES},
    "GET /v2/vpcs": {
        "vpcs": [{"id": "id:vpc", "name": "name:vpc", "region": "region", "created_at": "time"}],
        **PAGES,
    },
}
# Words of field names and codes that are not in DigitalOcean's document.
WORDS = """
acl active already args audio auth bad bitrate blocks bot bots bucket busy cache call called
cannot capacity channel channels chat client code codecs codes complete condition conflict
connections content contents conversations count created creation cpu deleted denied departure
display dm done duration egress email ended endpoint enterprise error etag exceeded exist exists
fatal file files forbidden found group groups has header history im include ingress input
installed internal invalid is joined json key last length level limited list manifest max member
members message metadata method missing mode modified mpim muted not nothing num object ok open
open openvidu operation other owner parallel participant participants pending permission
permissions pins post precondition present previous published publishers publishing push queue
ratelimited rate reaction reactions real recording recordings refused rejected required results
retry room rooms route scope secret gib mib install ipv segment server service session shared
sid signal slack slow source speed state stopped storage stream streams structure such team
teams text thread throttled timezone too topic track tracks truncated ts turn unauthenticated
unavailable unsupported updated uploaded user usergroup usergroups users view views web
workspace wrong
"""

# Headers that are kept, and how.
HEADERS: dict[str, Node] = {
    "ratelimit-limit": "digits",
    "ratelimit-remaining": "digits",
    "ratelimit-reset": "epoch",
    "retry-after": "digits",
    "content-type": "media type",
    "x-request-id": "id:request",
    "x-amz-request-id": "id:request",
    "etag": "id:etag",
}
MEDIA_TYPES = re.compile(
    r"(?:application/(?:json|xml|octet-stream)|text/(?:html|plain)|binary/octet-stream)"
    r"(?:; ?charset=(?:utf-8|UTF-8|iso-8859-1))?"
)

LIVEKIT: dict[str, Node] = {
    "RoomService/ListRooms": {
        "rooms": [
            {
                "sid": "id:room", "name": "name:room", "empty_timeout": "number",
                "departure_timeout": "number", "max_participants": "number",
                "creation_time": "epoch", "creation_time_ms": OUT, "turn_password": OUT,
                "enabled_codecs": OUT, "metadata": OUT, "num_participants": "number",
                "num_publishers": "number", "active_recording": "boolean", "version": OUT,
                "creationTime": "epoch", "numParticipants": "number", "emptyTimeout": "number",
            }
        ]
    },
    "Egress/ListEgress": {
        "items": [
            {
                "egress_id": "id:egress", "room_id": "id:room", "room_name": "name:room",
                "source_type": "=EGRESS_SOURCE_TYPE_WEB|EGRESS_SOURCE_TYPE_SDK",
                "status": "=EGRESS_STARTING|EGRESS_ACTIVE|EGRESS_ENDING|EGRESS_COMPLETE"
                "|EGRESS_FAILED|EGRESS_ABORTED|EGRESS_LIMIT_REACHED",
                "started_at": "nanoseconds", "ended_at": "nanoseconds",
                "updated_at": "nanoseconds", "details": OUT, "error": OUT,
                "error_code": "number", "stream_results": OUT, "file_results": OUT,
                "segment_results": OUT, "image_results": OUT, "manifest_location": OUT,
                "backup_storage_used": "boolean", "egressId": "id:egress", "roomId": "id:room",
            }
        ]
    },
    "Ingress/ListIngress": {
        "items": [
            {
                "ingress_id": "id:ingress", "name": OUT, "stream_key": OUT, "url": OUT,
                "input_type": "=RTMP_INPUT|WHIP_INPUT|URL_INPUT", "room_name": "name:room",
                "participant_identity": OUT, "participant_name": OUT, "reusable": "boolean",
                "state": {
                    "status": "=ENDPOINT_INACTIVE|ENDPOINT_BUFFERING|ENDPOINT_PUBLISHING"
                    "|ENDPOINT_ERROR|ENDPOINT_COMPLETE",
                    "error": OUT, "room_id": "id:room", "started_at": "nanoseconds",
                    "ended_at": "nanoseconds", "updated_at": "nanoseconds",
                    "resource_id": OUT, "tracks": OUT,
                },
            }
        ]
    },
}  # fmt: skip
LIVEKIT_ERROR: Node = {"code": "words", "msg": OUT}
LIVEKIT_SENT: Node = {"active": "boolean"}

_CODES = """
AccessDenied AuthorizationHeaderMalformed BadDigest ConditionalRequestConflict InternalError
InvalidAccessKeyId InvalidArgument InvalidBucketName InvalidRequest MalformedXML
MethodNotAllowed NoSuchBucket NoSuchKey NoSuchVersion NotImplemented PermanentRedirect
PreconditionFailed QuotaExceeded RequestTimeTooSkewed RequestTimeout ServiceUnavailable
SignatureDoesNotMatch SlowDown 304 403 404 412
"""
S3_CODES = "=" + "|".join(_CODES.split())
_ERROR: Node = {"Error": {"Code": S3_CODES, "Message": OUT}}
_ENTRY: Node = {
    "Key": "object", "LastModified": OUT, "ETag": "id:etag", "Size": "number",
    "StorageClass": "=STANDARD", "VersionId": "id:version", "IsLatest": "boolean",
}  # fmt: skip
_LIST: Node = {
    "Contents": [_ENTRY], "Versions": [_ENTRY], "IsTruncated": "boolean", "KeyCount": "number",
    "MaxKeys": "number", "Name": "name:bucket", "Prefix": "object", "EncodingType": "=url",
}  # fmt: skip
_HEAD: Node = {
    "ContentLength": "number", "ETag": "id:etag", "LastModified": OUT,
    "VersionId": "id:version", "AcceptRanges": "=bytes", "Metadata": OUT,
}  # fmt: skip
SPACES: dict[str, Node] = {
    "GetObject": _HEAD | _ERROR,
    "HeadObject": _HEAD | _ERROR,
    "PutObject": {"ETag": "id:etag", "VersionId": "id:version"} | _ERROR,
    "CopyObject": {"CopyObjectResult": {"ETag": "id:etag"}, "VersionId": "id:version"} | _ERROR,
    "DeleteObject": {"VersionId": "id:version", "DeleteMarker": "boolean"} | _ERROR,
    "ListObjects": _LIST | _ERROR,
    "ListObjectsV2": _LIST | _ERROR,
    "ListObjectVersions": _LIST | _ERROR,
    "GetBucketVersioning": {"Status": "=Enabled|Suspended"} | _ERROR,
    "HeadBucket": _ERROR,
}

_CHANNEL: Node = {
    "id": "id:channel", "is_member": "boolean", "is_private": "boolean",
    "is_archived": "boolean", "is_channel": "boolean", "is_im": "boolean",
    "num_members": "number",
}  # fmt: skip
_META: Node = {
    "ok": "boolean", "error": "words", "warning": "words", "needed": OUT, "provided": OUT,
    "response_metadata": {"next_cursor": OUT, "messages": OUT, "warnings": OUT, "scopes": OUT},
}  # fmt: skip
_USER: Node = {
    "id": "id:user", "team_id": "id:team", "deleted": "boolean", "is_bot": "boolean",
    "is_restricted": "boolean", "is_ultra_restricted": "boolean", "is_stranger": "boolean",
    "updated": "number",
}  # fmt: skip
_MESSAGE: Node = {
    "type": "words", "subtype": "words", "ts": "id:ts", "user": "id:user", "bot_id": "id:bot",
    "thread_ts": "id:ts",
}  # fmt: skip
SLACK: dict[str, Node] = {
    method: {**_META, **fields}
    for method, fields in {
        "auth.test": {
            "team_id": "id:team", "user_id": "id:user", "bot_id": "id:bot",
            "enterprise_id": "id:team", "is_enterprise_install": "boolean", "url": OUT,
            "team": OUT, "user": OUT,
        },
        "chat.postMessage": {"ts": "id:ts", "channel": "id:channel", "message": _MESSAGE},
        "chat.update": {"ts": "id:ts", "channel": "id:channel", "message": _MESSAGE},
        "chat.postEphemeral": {"message_ts": "id:ts"},
        "chat.delete": {"ts": "id:ts", "channel": "id:channel"},
        "conversations.info": {"channel": _CHANNEL},
        "conversations.open": {"channel": _CHANNEL},
        "conversations.join": {"channel": _CHANNEL},
        "conversations.list": {"channels": [_CHANNEL]},
        "conversations.members": {"members": ["id:user"]},
        "conversations.history": {"messages": [_MESSAGE], "has_more": "boolean"},
        "conversations.replies": {"messages": [_MESSAGE], "has_more": "boolean"},
        "users.info": {"user": _USER},
        "users.list": {"members": [_USER], "cache_ts": "number"},
        "usergroups.users.list": {"users": ["id:user"]},
        "usergroups.list": {"usergroups": [{"id": "id:group", "user_count": "number"}]},
        "bots.info": {"bot": {"id": "id:bot", "user_id": "id:user", "deleted": "boolean"}},
        "views.open": {"view": {"id": "id:view", "type": "words", "team_id": "id:team"}},
        "views.update": {"view": {"id": "id:view", "type": "words", "team_id": "id:team"}},
        "views.publish": {"view": {"id": "id:view", "type": "words", "team_id": "id:team"}},
        "views.push": {"view": {"id": "id:view", "type": "words", "team_id": "id:team"}},
    }.items()
}  # fmt: skip
SLACK_OTHER: Node = _META
# Methods of Slack's Web API: others are recorded without their name.
KNOWN_METHODS = frozenset(SLACK) | {
    "api.test",
    "apps.connections.open",
    "auth.teams.list",
    "blocks.validate",
    "chat.getPermalink",
    "files.completeUploadExternal",
    "files.getUploadURLExternal",
    "pins.add",
    "pins.remove",
    "reactions.add",
    "reactions.remove",
    "team.info",
}


class Operation(NamedTuple):
    """An operation of DigitalOcean: its path's parameters, what is sent, and its answers."""

    template: str
    parameters: tuple[tuple[str, str], ...]  # name and value, of the path
    sent: Node
    answers: Mapping[str, Node]


# How a path's parameters become pseudonyms.
PARAMETERS = {
    "droplet_id": "id:droplet",
    "action_id": "id:action",
    "autoscale_pool_id": "id:pool",
    "namespace_id": "id:namespace",
    "trigger_name": "name:trigger",
    "lb_id": "id:balancer",
    "snapshot_id": "id:image",
    "tag_id": "name:tag",
}


class DigitalOceanTable:
    """The published operations and objects."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.objects: Mapping[str, Node] = table["objects"]
        self.words = frozenset([*table["words"].split(), *WORDS.split()])
        operations = dict(table["operations"])
        for template, answer in FURTHER.items():
            operations[template] = {"sent": OUT, "answers": {"200": answer, "default": "$error"}}
        if "DELETE /v2/snapshots/{snapshot_id}" not in operations:
            operations["DELETE /v2/snapshots/{snapshot_id}"] = {
                "sent": OUT,
                "answers": {"204": OUT, "default": "$error"},
            }
        self._operations = operations
        # With fewer parameters first: /v2/droplets/autoscale is no droplet.
        self._patterns = [
            (re.compile(_pattern(template)), template)
            for template in sorted(operations, key=lambda t: t.count("{"))
        ]

    def find(self, request: str) -> Operation | None:
        """Return the operation of `VERB /path`; None when none is published."""
        for pattern, template in self._patterns:
            if found := pattern.fullmatch(request):
                operation = self._operations[template]
                parameters = tuple(found.groupdict().items())
                return Operation(template, parameters, operation["sent"], operation["answers"])
        return None

    def operation(self, template: str) -> Operation | None:
        """Return the operation of a template."""
        if template not in self._operations:
            return None
        operation = self._operations[template]
        return Operation(template, (), operation["sent"], operation["answers"])


def _pattern(template: str) -> str:
    def segment(part: str) -> str:
        if not part.startswith("{"):
            return re.escape(part)
        name = part[1:-1]
        return (
            rf"(?P<{name}>\d{{1,18}})"
            if name in {"droplet_id", "action_id"}
            else (rf"(?P<{name}>[^/]+)")
        )

    verb, _, path = template.partition(" ")
    return f"{verb} " + "/".join(segment(part) for part in path.split("/"))


@cache
def digitalocean() -> DigitalOceanTable:
    """Return the table, read once."""
    return DigitalOceanTable(json.loads(FILE.read_text("utf-8")))
