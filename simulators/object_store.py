"""The content of a Space, and its form in S3's XML."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from xml.sax.saxutils import escape

from simulators.cloud.model import stamp
from simulators.responses import HttpResponse

XML = '<?xml version="1.0" encoding="UTF-8"?>'
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


@dataclass
class ObjectVersion:
    """One state of an object; `body` None is a delete marker."""

    id: str
    body: bytes | None
    at: float
    acl: str = "private"
    content_type: str = "binary/octet-stream"

    @property
    def etag(self) -> str:
        """The ETag, quoted."""
        return f'"{hashlib.md5(self.body or b"").hexdigest()}"'  # noqa: S324 - what S3 does


@dataclass
class ObjectBucket:
    """Objects by key: their versions, the newest last.

    Without versioning, only the newest is kept.
    """

    objects: dict[str, list[ObjectVersion]] = field(default_factory=dict)
    versioning: str = ""
    before: dict[str, ObjectVersion] = field(default_factory=dict)
    """The previous versions, which a stale read still shows."""

    def current(self, key: str, version: str | None = None) -> ObjectVersion | None:
        """Return the object as it is now, or that version of it."""
        versions = [v for v in self.objects.get(key, []) if version in (None, v.id)]
        return versions[-1] if versions and versions[-1].body is not None else None


class Denied(Exception):
    """An S3 error: status, code and text."""

    def __init__(self, status: int, code: str, text: str = "") -> None:
        super().__init__(text)
        self.status, self.code = status, code


def xml(text: str) -> HttpResponse:
    """Return an answer with that XML."""
    return HttpResponse(200, {"content-type": "application/xml"}, (XML + text).encode())


def access(version: ObjectVersion) -> HttpResponse:
    """Return who may read an object, as S3 writes it."""
    instance = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group"'
    everybody = (
        f"<Grantee {instance}><URI>http://acs.amazonaws.com/groups/global/AllUsers</URI></Grantee>"
    )
    public = (
        f"<Grant>{everybody}<Permission>READ</Permission></Grant>"
        if version.acl == "public-read"
        else ""
    )
    return xml(
        f"<AccessControlPolicy {NAMESPACE}><AccessControlList>{public}</AccessControlList>"
        "</AccessControlPolicy>"
    )


def listing(name: str, bucket: ObjectBucket, query: Mapping[str, str]) -> HttpResponse:
    """Return `ListObjectsV2`, in pages."""
    prefix, most = query.get("prefix", ""), int(query.get("max-keys", "1000"))
    after = query.get("continuation-token") or query.get("start-after") or query.get("marker") or ""
    matching = [
        (k, v)
        for k in sorted(bucket.objects)
        if k.startswith(prefix) and k > after and (v := bucket.current(k)) is not None
    ]
    shown = matching[:most]
    contents = "".join(
        f"<Contents><Key>{escape(k)}</Key><LastModified>{stamp(v.at)}</LastModified>"
        f"<ETag>{escape(v.etag)}</ETag>"
        f"<Size>{len(v.body or b'')}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for k, v in shown
    )
    more = len(matching) > most
    token = (
        f"<NextContinuationToken>{escape(shown[-1][0])}</NextContinuationToken>"
        if more and shown
        else ""
    )
    return xml(
        f"<ListBucketResult {NAMESPACE}><Name>{name}</Name><Prefix>{escape(prefix)}</Prefix>"
        f"<KeyCount>{len(shown)}</KeyCount>"
        f"<MaxKeys>{most}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>"
        f"{token}{contents}</ListBucketResult>"
    )


def version_listing(name: str, bucket: ObjectBucket, query: Mapping[str, str]) -> HttpResponse:
    """Return `ListObjectVersions`, all at once."""
    prefix = query.get("prefix", "")
    lines = []
    for key in sorted(k for k in bucket.objects if k.startswith(prefix)):
        versions = bucket.objects[key]
        for version in reversed(versions):
            tag = "DeleteMarker" if version.body is None else "Version"
            size = (
                ""
                if version.body is None
                else f"<ETag>{escape(version.etag)}</ETag><Size>{len(version.body)}</Size>"
            )
            latest = str(version is versions[-1]).lower()
            lines.append(
                f"<{tag}><Key>{escape(key)}</Key><VersionId>{version.id}</VersionId>"
                f"<IsLatest>{latest}</IsLatest><LastModified>{stamp(version.at)}</LastModified>"
                f"{size}</{tag}>"
            )
    return xml(
        f"<ListVersionsResult {NAMESPACE}><Name>{name}</Name><IsTruncated>false</IsTruncated>"
        f"{''.join(lines)}</ListVersionsResult>"
    )


def unchunked(body: bytes) -> bytes:
    """Return the content of an aws-chunked body.

    Sizes in hexadecimal, an optional signature, trailers at the end.
    """
    content = b""
    while body:
        line, _, body = body.partition(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if size == 0:
            break
        content, body = content + body[:size], body[size + 2 :]
    return content


def http_date(moment: float) -> str:
    """Return the moment as HTTP headers write it."""
    return formatdate(moment, usegmt=True)
