"""LiveKit's server API: how many meetings, people and recordings a cluster has now.

It also sends data to the people in a room.
"""

import base64
import hashlib
import json
from typing import Any, TypedDict

from services.cloud.clients.http import HttpClient
from services.cluster.meeting_messages import Room
from services.common.clock import Clock
from services.common.errors import BotError, Forbidden, Rejected, Unreachable

TOKEN_SECONDS = 600
SKEW_SECONDS = 60
SEND_SECONDS = 5.0


class LivekitLoad(TypedDict):
    """What runs in the whole cluster. LiveKit does not say on which node."""

    rooms: int
    participants: int
    egress: int
    ingress: int
    longest_seconds: float


class LivekitClient:
    """One cluster's LiveKit. `url` is its https address (the wss form is accepted too)."""

    def __init__(self, url: str, key: str, secret: str, http: HttpClient, clock: Clock) -> None:
        self._url = url.rstrip("/").replace("wss://", "https://", 1).replace("ws://", "http://", 1)
        self._key = key
        self._secret = secret
        self._http = http
        self._clock = clock
        self._signed: tuple[str, float] = ("", 0.0)  # the newest token, and until when it is sent

    def __repr__(self) -> str:
        return f"Livekit({self._url})"

    async def load(self) -> LivekitLoad:
        """Count meetings with people in them, people, active recordings or streams, and ingresses.

        `ingress` counts those that publish; `longest_seconds` is the age of the oldest such
        meeting.
        """
        every_room = await self._list("RoomService/ListRooms", {}, "rooms")
        rooms = [room for room in every_room if _number(room, "num_participants")]
        egress = await self._list("Egress/ListEgress", {"active": True}, "items")
        ingress = await self._list("Ingress/ListIngress", {}, "items")
        now = self._clock.now()
        return {
            "rooms": len(rooms),
            "participants": sum(_number(room, "num_participants") for room in rooms),
            "egress": len(egress),
            "ingress": sum(_publishes(item) for item in ingress),
            "longest_seconds": max(
                (max(0.0, now - _number(room, "creation_time")) for room in rooms), default=0.0
            ),
        }

    async def rooms(self) -> tuple[Room, ...]:
        """Return the rooms with people in them. A room without an id or a name is left out."""
        listed = await self._list("RoomService/ListRooms", {}, "rooms")
        rooms = (
            Room(str(r.get("sid") or ""), str(r.get("name") or ""), _number(r, "creation_time"))
            for r in listed
            if _number(r, "num_participants")
        )
        return tuple(room for room in rooms if room.sid and room.name)

    async def send_data(self, room: Room, topic: str, data: bytes) -> None:
        """Send data to everyone in a room, and to who is joining, once.

        The nonce lets a client recognize the same data when it comes twice.
        """
        nonce = hashlib.sha256(room.sid.encode() + data).digest()[:16]
        body = {
            "room": room.name,
            "data": base64.b64encode(data).decode(),
            "kind": "RELIABLE",
            "topic": topic,
            "nonce": base64.b64encode(nonce).decode(),
        }
        token = self._sign({"roomAdmin": True, "room": room.name})
        reply = await self._http.post(
            f"{self._url}/twirp/livekit.RoomService/SendData",
            body,
            headers={"Authorization": f"Bearer {token}"},
            timeout=SEND_SECONDS,
        )
        if reply.status != 200:
            raise _refusal("sending data to a room", reply.status)

    async def aclose(self) -> None:
        """Close nothing: the `HttpClient` is its maker's to close."""

    async def _list(self, method: str, body: dict[str, object], key: str) -> list[dict[str, Any]]:
        what = f"asking LiveKit for {method}"
        headers = {"Authorization": f"Bearer {self._token()}"}
        reply = await self._http.post(
            f"{self._url}/twirp/livekit.{method}", body, headers=headers, timeout=10.0
        )
        if reply.status != 200:
            raise _refusal(what, reply.status)
        try:
            answer = json.loads(reply.body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Unreachable(f"{what}: the answer is not JSON")
        # Protobuf's JSON omits an empty list.
        return [item for item in answer.get(key) or [] if isinstance(item, dict)]

    def _token(self) -> str:
        """Return a token that lasts for half its time at least, also by a clock that was set."""
        token, until = self._signed
        now = self._clock.now()
        if not until - TOKEN_SECONDS / 2 <= now < until:
            token = self._sign({"roomList": True, "roomRecord": True, "ingressAdmin": True})
            self._signed = token, now + TOKEN_SECONDS / 2
        return token

    def _sign(self, grants: dict[str, object]) -> str:
        # With the first request and not at the start: it imports cryptography.
        import jwt  # noqa: PLC0415

        now = int(self._clock.now())
        return jwt.encode(
            {
                "iss": self._key,
                "nbf": now - SKEW_SECONDS,
                "exp": now + TOKEN_SECONDS,
                "video": grants,
            },
            self._secret,
            "HS256",
        )


def _refusal(what: str, status: int) -> BotError:
    if status in {401, 403}:
        why = f"the api key and secret were refused ({status})"
        remedy = "take LIVEKIT_API_KEY and LIVEKIT_API_SECRET from the deployment's secrets.env"
        return Forbidden(f"{what}: {why}", status=status, cause=why, remedy=remedy)
    why = f"LiveKit answered {status}"
    if status >= 500 or status in {404, 408, 429}:
        # 404 and the like come from the proxy in front of LiveKit while that is not up.
        return Unreachable(
            f"{what}: {why}",
            cause=why,
            remedy="check that OpenVidu runs on the masters, and clusters.NAME.livekit_url",
        )
    return Rejected(
        f"{what}: {why}", status=status, cause=why, remedy="correct clusters.NAME.livekit_url"
    )


def _number(item: dict[str, Any], name: str) -> int:
    """Return a number of protobuf's JSON. Unreachable where it is none.

    int64 comes as text, names come in either spelling, and 0 is omitted.
    """
    head, *rest = name.split("_")
    value = item.get(name, item.get(head + "".join(word.title() for word in rest), 0))
    try:
        return int(value)
    except (TypeError, ValueError):
        raise Unreachable(f"asking LiveKit: its answer has no number for {name}") from None


def _publishes(ingress: dict[str, Any]) -> bool:
    state = ingress.get("state") or {}
    return state.get("status") in {"ENDPOINT_PUBLISHING", 2}
