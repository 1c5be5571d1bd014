"""The simulated world over real sockets, with the bot's clients."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import aiohttp
import asyncssh
import boto3
import jwt
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from simulators.clock import ScaledClock
from simulators.environment import Addresses, SimulatedEnvironment
from tests.support.patience import HANG


def in_town(
    story: Callable[[SimulatedEnvironment, Addresses], Awaitable[None]], speed: float = 1.0
) -> None:
    async def run() -> None:
        town = SimulatedEnvironment(ScaledClock(speed))
        town.build_cluster("acme", media=1)
        addresses = await town.start()
        try:
            await story(town, addresses)
        finally:
            await town.stop()

    asyncio.run(asyncio.wait_for(run(), HANG))


def test_http_faces() -> None:
    async def story(town: SimulatedEnvironment, at: Addresses) -> None:
        town.estate.open_meeting(people=3, recordings=1)
        livekit = town.livekit["acme"]
        grants = {"roomList": True, "roomRecord": True, "ingressAdmin": True}
        claims = {"iss": livekit.api_key, "exp": int(time.time()) + 60, "video": grants}
        bearer = {"Authorization": f"Bearer {jwt.encode(claims, livekit.api_secret, 'HS256')}"}
        master = town.estate.masters("acme")[0]
        async with aiohttp.ClientSession() as http:
            async with http.get(
                f"{at.digitalocean}/v2/account", headers={"Authorization": "Bearer dop_v1_sim"}
            ) as answer:
                assert answer.status == 200
            async with http.get(
                f"http://{master.public_ip}:{at.health_port}/health/caddy"
            ) as answer:
                assert answer.status == 200
            async with http.post(
                f"{at.fronts['acme']}/twirp/livekit.RoomService/ListRooms", json={}, headers=bearer
            ) as answer:
                assert (await answer.json())["rooms"][0]["num_participants"] == 3
            async with http.post(
                f"{at.fronts['acme']}/twirp/livekit.Egress/ListEgress",
                json={"active": True},
                headers=bearer,
            ) as answer:
                assert (await answer.json())["items"][0]["status"] == "EGRESS_ACTIVE"
            async with http.post(
                f"{at.fronts['acme']}/twirp/livekit.Ingress/ListIngress", json={}
            ) as answer:
                assert answer.status == 401
            town.faults.add(
                "digitalocean", "reset-after", times=-1
            )  # aiohttp retries once by itself
            with pytest.raises(aiohttp.ClientError):
                await http.get(
                    f"{at.digitalocean}/v2/account", headers={"Authorization": "Bearer dop_v1_sim"}
                )

    in_town(story)


def test_ssh_comes_and_goes_with_the_power() -> None:
    async def story(town: SimulatedEnvironment, at: Addresses) -> None:
        media = town.estate.media("acme")[0]
        key = asyncssh.generate_private_key("ssh-ed25519")

        async def run(command: str) -> asyncssh.SSHCompletedProcess:
            options = {
                "port": at.ssh_port,
                "username": "root",
                "client_keys": [key],
                "known_hosts": None,
                "config": None,
            }
            async with asyncssh.connect(media.public_ip, **options) as connection:
                return await connection.run(command, stdin=asyncssh.DEVNULL)

        done = await run("systemctl is-active openvidu")
        assert (done.exit_status, done.stdout) == (0, "active\n")
        town.faults.add("ssh", "cut-after")
        lost = await run("systemctl stop openvidu")
        assert lost.exit_status is None
        stopped = await run("systemctl is-active openvidu")
        assert (stopped.exit_status, stopped.stdout) == (3, "inactive\n")
        town.estate.power.request(media.id, "power_off")
        await asyncio.sleep(0.3)
        with pytest.raises(OSError, match=r".*"):
            await run("id -u")

    in_town(story, speed=60)


def test_spaces_with_boto3() -> None:
    async def story(town: SimulatedEnvironment, at: Addresses) -> None:
        await asyncio.to_thread(spaces_story, town, at)

    in_town(story)


def spaces_story(town: SimulatedEnvironment, at: Addresses) -> None:
    config = Config(
        s3={"addressing_style": "path"},
        retries={"total_max_attempts": 1},
        signature_version="s3v4",
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    keys = {"aws_access_key_id": "k", "aws_secret_access_key": "s"}
    s3 = boto3.client("s3", endpoint_url=at.spaces, region_name="us-east-1", config=config, **keys)  # type: ignore[call-overload]
    bucket = town.estate.clusters["acme"].bucket
    read = s3.get_object(Bucket=bucket, Key="secrets.env")
    body = read["Body"].read()
    assert body.endswith(b"\n")
    assert b"ALL_SECRETS_GENERATED=true\n" in body
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="secrets.env", Body=b"A=b\n", IfMatch=read["ETag"])
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(
        Bucket=bucket,
        Key="secrets.env",
        Body=b"A=b\n",
        IfMatch=read["ETag"].strip('"'),
        ACL="private",
    )
    s3.copy_object(
        Bucket=bucket, Key="backups/1", CopySource={"Bucket": bucket, "Key": "secrets.env"}
    )
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.put_object(Bucket=bucket, Key="backups/1", Body=b"", IfNoneMatch="*")
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix="backups/")["Contents"]] == [
        "backups/1"
    ]
    versions = s3.list_object_versions(Bucket=bucket, Prefix="secrets.env")["Versions"]
    assert [v["IsLatest"] for v in versions] == [True, False]
    assert (
        s3.get_object(Bucket=bucket, Key="secrets.env", VersionId=versions[1]["VersionId"])[
            "Body"
        ].read()
        == body
    )
    s3.put_object_acl(Bucket=bucket, Key="backups/1", ACL="public-read")
    grants = s3.get_object_acl(Bucket=bucket, Key="backups/1")["Grants"]
    assert [grant["Permission"] for grant in grants] == ["FULL_CONTROL", "READ"]
    own = s3.get_object_acl(Bucket=bucket, Key="secrets.env")["Grants"]
    assert [grant["Permission"] for grant in own] == ["FULL_CONTROL"]
    town.faults.add("spaces", "stale")
    assert s3.get_object(Bucket=bucket, Key="secrets.env")["Body"].read() == body
    s3.delete_object(Bucket=bucket, Key="backups/1")
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket=bucket, Key="backups/1")
    town.faults.add("spaces", "503")
    with pytest.raises(ClientError, match="SlowDown"):
        s3.get_object(Bucket=bucket, Key="secrets.env")
