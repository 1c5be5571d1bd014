"""The LiveKit server API of a cluster.

Twirp over JSON, with the original proto names and 64-bit numbers as text.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jwt

from simulators.cloud import Cloud, SimulatedCluster, SimulatedMeeting
from simulators.cloud.builder import keys
from simulators.evidence import Source, rests_on
from simulators.responses import HttpResponse, json_response

Json = dict[str, Any]
SendFault = Literal["503", "slow", "lost"]
"""SendData answers 503 and sends nothing, answers too late, or delivers and breaks off."""
SLOW = 60.0
SEND_DATA = "/twirp/livekit.RoomService/SendData"
LEEWAY = 60.0
"""Seconds that the clocks may be apart."""
# PyJWT would compare with real time; this world has its own.
CHECKS: Any = {
    "require": ["exp", "iss"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}


class LivekitApi:
    """RoomService, Egress and Ingress, as far as listing and sending data go.

    `send_faults`: what becomes of the next requests to send data, one each. Key and secret
    default to the cluster's own.
    """

    def __init__(
        self,
        estate: Cloud,
        cluster: SimulatedCluster,
        api_key: str | None = None,
        api_secret: str | None = None,
    ) -> None:
        default_key, default_secret = keys(cluster.stack)
        self.estate, self.stack = estate, cluster.stack
        self.api_key, self.api_secret = api_key or default_key, api_secret or default_secret
        self.send_faults: list[SendFault] = []
        self._methods: dict[str, tuple[str, Callable[[Json], Json | None]]] = {
            "/twirp/livekit.RoomService/ListRooms": ("roomList", self._rooms),
            SEND_DATA: ("roomAdmin", self._send_data),
            "/twirp/livekit.Egress/ListEgress": ("roomRecord", self._egress),
            "/twirp/livekit.Ingress/ListIngress": ("ingressAdmin", self._ingress),
        }

    def handle(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> HttpResponse:
        """Answer one call.

        Raises:
            ConnectionRefusedError: when no master serves.
        """
        self.estate.settle()
        if not self.estate.front_is_up(self.stack):
            raise ConnectionRefusedError(self.stack)
        if path not in self._methods:
            return _error(404, "bad_route", f'no handler for path "{path}"')
        if method != "POST":
            return _error(405, "bad_route", f'unsupported method "{method}" (only POST is allowed)')
        grant, answer = self._methods[path]
        request = HttpResponse(200, body=body or b"{}").json()
        room = request.get("room", "") if grant == "roomAdmin" else ""
        refusal = self._refusal({k.lower(): v for k, v in headers.items()}, grant, room)
        if refusal is not None:
            return refusal
        fault = self.send_faults.pop(0) if path == SEND_DATA and self.send_faults else ""
        if fault == "503":
            return _error(503, "unavailable", "no response from servers")
        reply = answer(request)
        if reply is None:
            return _error(404, "not_found", "requested room does not exist")
        if fault == "lost":
            return HttpResponse(0, fate="reset-after")
        response = json_response(200, reply)
        response.delay = SLOW if fault == "slow" else 0.0
        return response

    def _refusal(
        self, headers: Mapping[str, str], grant: str, room: str = ""
    ) -> HttpResponse | None:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        try:
            claims = jwt.decode(
                token, self.api_secret, algorithms=["HS256"], issuer=self.api_key, options=CHECKS
            )
            if (
                not int(claims.get("nbf", 0))
                <= self.estate.now + LEEWAY
                <= int(claims["exp"]) + 2 * LEEWAY
            ):
                raise jwt.ExpiredSignatureError("token is not valid at this time")
        except jwt.InvalidTokenError as error:
            return HttpResponse(
                401,
                {"content-type": "text/plain"},
                f"invalid authorization token: {error}".encode(),
            )
        video = claims.get("video", {})
        if not video.get(grant) or (room and video.get("room") != room):
            return _error(401, "unauthenticated", "permissions denied")
        return None

    def _meetings(self, body: Json) -> list[SimulatedMeeting]:
        name = body.get("room_name") or body.get("roomName")
        return [m for m in self.estate.meetings_of(self.stack) if not name or m.name == name]

    def _rooms(self, body: Json) -> Json:
        names = body.get("names") or []
        return {
            "rooms": [
                _room(m)
                for m in self._meetings({})
                if not m.roomless and (not names or m.name in names)
            ]
        }

    def _send_data(self, body: Json) -> Json | None:
        """Deliver data to everyone in a room; None when there is no such room."""
        meeting = next(
            (m for m in self._meetings({}) if m.name == body["room"] and not m.roomless), None
        )
        if meeting is None:
            return None
        try:
            data = base64.b64decode(body.get("data", ""), validate=True)
        except binascii.Error:
            data = b""
        self.estate.people.receive(meeting, body.get("topic", ""), data)
        return {}

    def _egress(self, body: Json) -> Json:
        return {"items": [_egress(m, n) for m in self._meetings(body) for n in range(m.recordings)]}

    def _ingress(self, body: Json) -> Json:
        return {"items": [_ingress(m, n) for m in self._meetings(body) for n in range(m.ingresses)]}


def _error(status: int, code: str, text: str) -> HttpResponse:
    return json_response(status, {"code": code, "msg": text})


def _room(meeting: SimulatedMeeting) -> Json:
    return {
        "sid": meeting.id, "name": meeting.name, "empty_timeout": 300, "departure_timeout": 20,
        "max_participants": 0, "creation_time": str(int(meeting.opened_at)),
        "creation_time_ms": str(int(meeting.opened_at * 1000)), "turn_password": "",
        "enabled_codecs": [], "metadata": "", "num_participants": meeting.people,
        "num_publishers": meeting.people, "active_recording": meeting.recordings > 0,
        "version": None,
    }  # fmt: skip


def _egress(meeting: SimulatedMeeting, n: int) -> Json:
    began = str(int(meeting.opened_at * 1e9))
    return {
        "egress_id": f"EG_{meeting.id[3:]}_{n}", "room_id": "" if meeting.roomless else meeting.id,
        "room_name": "" if meeting.roomless else meeting.name,
        "source_type": "EGRESS_SOURCE_TYPE_WEB", "status": "EGRESS_ACTIVE", "started_at": began,
        "ended_at": "0", "updated_at": began, "details": "", "error": "", "error_code": 0,
        "stream_results": [], "file_results": [], "segment_results": [], "image_results": [],
        "manifest_location": "", "backup_storage_used": False,
    }  # fmt: skip


def _ingress(meeting: SimulatedMeeting, n: int) -> Json:
    name = f"{meeting.id[3:]}_{n}"
    state = {"status": "ENDPOINT_PUBLISHING", "error": "", "room_id": meeting.id,
        "started_at": str(int(meeting.opened_at * 1e9)),
             "ended_at": "0", "updated_at": "0", "resource_id": "", "tracks": []}  # fmt: skip
    return {"ingress_id": f"IN_{name}", "name": name, "stream_key": f"key-{name}", "url": "",
        "input_type": "RTMP_INPUT",
            "room_name": meeting.name, "participant_identity": f"camera-{n}",
            "state": state}  # fmt: skip


rests_on(
    "LiveKit",
    Source.SCHEMA,
    "livekit/protocol: livekit_room.proto, livekit_egress.proto, livekit_ingress.proto",
    "RoomService/ListRooms",
    "RoomService/SendData",
    "Egress/ListEgress",
    "Ingress/ListIngress",
)
