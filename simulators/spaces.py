"""Spaces: as much of S3 as the bot needs, with the quirks of Spaces (Ceph's object gateway)."""

from collections.abc import Mapping
from urllib.parse import unquote
from xml.sax.saxutils import escape

from aiohttp import web

from simulators.cloud import Cloud, SimulatedCluster
from simulators.cloud.model import stamp
from simulators.faults import WorldFault, WorldFaults
from simulators.object_store import (
    NAMESPACE,
    XML,
    Denied,
    ObjectBucket,
    ObjectVersion,
    access,
    http_date,
    listing,
    no_such_bucket,
    no_such_key,
    unchunked,
    unquoted,
    version_listing,
    xml,
)
from simulators.responses import HttpResponse, send
from simulators.signatures import is_signed_with

SECRETS = "secrets.env"


class SpacesApi:
    """The buckets of every cluster, `secrets.env` in each; masters read it there when they boot."""

    def __init__(self, estate: Cloud, faults: WorldFaults | None = None) -> None:
        self.estate, self.faults = estate, faults or WorldFaults()
        self.buckets: dict[str, ObjectBucket] = {}
        self.requests: list[tuple[str, str, int, float]] = []
        self.keys: dict[str, str] = {}
        """The secrets of the keys that are known; empty: any key is accepted, signed or not."""
        self.ungranted: set[str] = set()
        """Keys that are known and have no grant on any bucket."""
        self._versions = 0
        for cluster in estate.clusters.values():
            self.create_bucket_for(cluster)
        estate.read_secrets = self._for_boot

    def create_bucket_for(self, cluster: SimulatedCluster) -> None:
        """Create a cluster's bucket, with the `secrets.env` of its installation."""
        master = self.estate.masters(cluster.stack)[0]
        body = master.node.files["/opt/openvidu/secrets.env"]
        self.buckets[cluster.bucket] = ObjectBucket()
        self.write(cluster.bucket, SECRETS, body)

    def read(self, bucket: str, key: str) -> bytes | None:
        """Return an object's content, for tests."""
        version = self.buckets[bucket].current(key)
        return version.body if version else None

    def write(
        self,
        bucket: str,
        key: str,
        body: bytes,
        acl: str = "private",
        content_type: str = "binary/octet-stream",
    ) -> ObjectVersion:
        """Store an object."""
        home = self.buckets[bucket]
        self._versions += 1
        version = ObjectVersion(
            f"v{self._versions:08d}" if home.versioning else "null",
            body,
            self.estate.now,
            acl,
            content_type,
        )
        self._keep(home, key, version)
        return version

    def handle(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> HttpResponse:
        """Answer one path-style request."""
        self.estate.settle()
        lower = {k.lower(): v for k, v in headers.items()}
        try:
            answer = self._answer(method, unquote(path), query, lower, body or b"")
        except Denied as denied:
            about = "".join(f"<{k}>{escape(v)}</{k}>" for k, v in denied.about.items())
            text = (
                f"{XML}<Error><Code>{denied.code}</Code><Message>{denied}</Message>{about}"
                "<RequestId>tx-sim</RequestId><HostId>sim</HostId></Error>"
            )
            answer = HttpResponse(
                denied.status,
                {"content-type": "application/xml"},
                b"" if method == "HEAD" else text.encode(),
            )
        self.requests.append((method, path, answer.status, self.estate.now))
        return answer

    def app(self) -> web.Application:
        """Return an aiohttp application that serves this API."""

        async def serve(request: web.Request) -> web.StreamResponse:
            answer = self.handle(
                request.method,
                request.rel_url.raw_path,
                dict(request.query),
                request.headers,
                await request.read(),
            )
            return await send(answer, request, self.estate.clock)

        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", serve)
        return app

    def _for_boot(self, stack: str) -> bytes | None:
        if self.faults.switched("spaces_down"):
            return None
        return self.read(self.estate.clusters[stack].bucket, SECRETS)

    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> HttpResponse:
        fault = self.faults.pick("spaces", f"{method} {path}")
        if fault is not None and fault.kind == "503":
            raise Denied(503, "SlowDown", "Please reduce your request rate.")
        if (
            "authorization" not in headers
            and "X-Amz-Signature" not in query
            and "Signature" not in query
        ):
            raise Denied(403, "AccessDenied", "Access Denied")
        if self.keys:
            self._verify(method, path, query, headers)
        name, _, key = path.lstrip("/").partition("/")
        if not name and method == "GET":
            return self._list_buckets()
        if name not in self.buckets:
            raise no_such_bucket(name)
        bucket = self.buckets[name]
        if not key:
            return self._bucket(method, name, bucket, query, body)
        if method in ("GET", "HEAD"):
            return self._get(bucket, key, query, headers, fault, with_body=method == "GET")
        if method == "PUT":
            return (
                self._set_access(bucket, key, headers)
                if "acl" in query
                else self._put(name, key, headers, body, fault)
            )
        if method == "DELETE":
            return self._delete(bucket, key, query)
        raise Denied(405, "MethodNotAllowed")

    def _verify(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
    ) -> None:
        key = headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]
        if key not in self.keys:
            raise Denied(403, "InvalidAccessKeyId")
        if not is_signed_with(self.keys[key], method, path, query, headers):
            raise Denied(403, "SignatureDoesNotMatch")
        if key in self.ungranted:
            raise Denied(403, "AccessDenied", "Access Denied")

    def _list_buckets(self) -> HttpResponse:
        names = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in sorted(self.buckets))
        return xml(
            f"<ListAllMyBucketsResult {NAMESPACE}><Buckets>{names}</Buckets>"
            "</ListAllMyBucketsResult>"
        )

    def _bucket(
        self, method: str, name: str, bucket: ObjectBucket, query: Mapping[str, str], body: bytes
    ) -> HttpResponse:
        if "versioning" in query and method == "PUT":
            bucket.versioning = "Enabled" if b"<Status>Enabled" in body else "Suspended"
            return HttpResponse(200)
        if "versioning" in query:
            status = f"<Status>{bucket.versioning}</Status>" if bucket.versioning else ""
            return xml(f"<VersioningConfiguration {NAMESPACE}>{status}</VersioningConfiguration>")
        if method == "HEAD":
            return HttpResponse(200)
        if method != "GET":
            raise Denied(403, "AccessDenied", "Access Denied")
        return (
            version_listing(name, bucket, query)
            if "versions" in query
            else listing(name, bucket, query)
        )

    def _get(
        self,
        bucket: ObjectBucket,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        fault: WorldFault | None,
        *,
        with_body: bool,
    ) -> HttpResponse:
        version = bucket.current(key, query.get("versionId"))
        if fault is not None and fault.kind == "stale":
            version = bucket.before.get(key, version)
        if version is None or version.body is None:
            if "versionId" in query and bucket.objects.get(key):
                raise Denied(404, "NoSuchVersion", "The specified version does not exist.")
            raise no_such_key(key)
        if "acl" in query:
            return access(version)
        # The gateway compares both without their quotes when it reads; not so when it writes.
        if (match := headers.get("if-match")) and unquoted(match) != unquoted(version.etag):
            raise _precondition_failed()
        if unquoted(headers.get("if-none-match", "")) == unquoted(version.etag):
            return HttpResponse(304, {"etag": version.etag})
        described = {
            "etag": version.etag,
            "content-type": version.content_type,
            "last-modified": http_date(version.at),
        }
        described |= {"x-amz-version-id": version.id} if bucket.versioning else {}
        if with_body:
            return HttpResponse(200, described, version.body)
        return HttpResponse(200, described | {"content-length": str(len(version.body))})

    def _set_access(
        self, bucket: ObjectBucket, key: str, headers: Mapping[str, str]
    ) -> HttpResponse:
        version = bucket.current(key)
        if version is None:
            raise no_such_key(key)
        version.acl = headers.get("x-amz-acl", "private")
        return HttpResponse(200)

    def _put(
        self, name: str, key: str, headers: Mapping[str, str], body: bytes, fault: WorldFault | None
    ) -> HttpResponse:
        bucket = self.buckets[name]
        current = bucket.current(key)
        self._check(current, headers, fault)
        source = headers.get("x-amz-copy-source")
        if source is not None:
            body = self._source(unquote(source))
        elif "aws-chunked" in headers.get("content-encoding", ""):
            body = unchunked(body)
        kind = headers.get("content-type", "binary/octet-stream")
        version = self.write(name, key, body, headers.get("x-amz-acl", "private"), kind)
        described = {"etag": version.etag} | (
            {"x-amz-version-id": version.id} if bucket.versioning else {}
        )
        if source is None:
            return HttpResponse(200, described)
        content = (
            f"<ETag>{escape(version.etag)}</ETag><LastModified>{stamp(version.at)}</LastModified>"
        )
        copied = xml(f"<CopyObjectResult {NAMESPACE}>{content}</CopyObjectResult>")
        copied.headers |= described
        return copied

    def _check(
        self, current: ObjectVersion | None, headers: Mapping[str, str], fault: WorldFault | None
    ) -> None:
        wanted = headers.get("if-match")
        # Spaces compares If-Match with the bare hexadecimal: the quoted form that the RFC requires
        # never matches. A missing object does not match either (AWS answers 404 for it).
        is_other = wanted is not None and (current is None or wanted != unquoted(current.etag))
        exists = headers.get("if-none-match") == "*" and current is not None
        if is_other or exists or (fault is not None and fault.kind == "412"):
            raise _precondition_failed()

    def _source(self, source: str) -> bytes:
        path, _, version = source.partition("?versionId=")
        name, _, key = path.lstrip("/").partition("/")
        if name not in self.buckets:
            raise no_such_bucket(name)
        found = self.buckets[name].current(key, version or None)
        if found is None or found.body is None:
            raise no_such_key(key)
        return found.body

    def _delete(self, bucket: ObjectBucket, key: str, query: Mapping[str, str]) -> HttpResponse:
        version = query.get("versionId")
        if version is not None:
            kept = bucket.objects.get(key, [])
            gone = [v for v in kept if v.id == version]
            bucket.objects[key] = [v for v in kept if v.id != version]
            return _deleted(version, is_marker=any(v.body is None for v in gone))
        if bucket.versioning:
            self._versions += 1
            marker = ObjectVersion(f"v{self._versions:08d}", None, self.estate.now)
            self._keep(bucket, key, marker)
            return _deleted(marker.id, is_marker=True)
        bucket.objects.pop(key, None)
        return HttpResponse(204)

    def _keep(self, bucket: ObjectBucket, key: str, version: ObjectVersion) -> None:
        if key in bucket.objects:
            bucket.before[key] = bucket.objects[key][-1]
        bucket.objects[key] = [*(bucket.objects.get(key, []) if bucket.versioning else []), version]


def _precondition_failed() -> Denied:
    return Denied(
        412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
    )


def _deleted(version: str, *, is_marker: bool) -> HttpResponse:
    marked = {"x-amz-delete-marker": "true"} if is_marker else {}
    return HttpResponse(204, {"x-amz-version-id": version} | marked)
