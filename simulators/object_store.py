"""The content of a Space, and its form in S3's XML."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import quote
from xml.sax.saxutils import escape

from simulators.cloud.model import stamp
from simulators.responses import HttpResponse

XML = '<?xml version="1.0" encoding="UTF-8"?>'
OWNER = "1234567"
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
    """An S3 error: status, code, text, and what it is about (`Key`, `BucketName`)."""

    def __init__(self, status: int, code: str, text: str = "", **about: str) -> None:
        super().__init__(text)
        self.status, self.code, self.about = status, code, about


def no_such_key(key: str) -> Denied:
    """Return the error of an object that is missing."""
    return Denied(404, "NoSuchKey", "The specified key does not exist.", Key=key)


def no_such_bucket(name: str) -> Denied:
    """Return the error of a bucket that is missing."""
    return Denied(404, "NoSuchBucket", "The specified bucket does not exist", BucketName=name)


def unquoted(etag: str) -> str:
    """Return an ETag without its quotes."""
    return etag.strip().strip('"')


def xml(text: str) -> HttpResponse:
    """Return an answer with that XML."""
    return HttpResponse(200, {"content-type": "application/xml"}, (XML + text).encode())


def access(version: ObjectVersion) -> HttpResponse:
    """Return who may read an object, as S3 writes it."""
    grants = _grant("CanonicalUser", f"<ID>{OWNER}</ID>", "FULL_CONTROL")
    if version.acl == "public-read":
        all_users = "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>"
        grants += _grant("Group", all_users, "READ")
    return xml(
        f"<AccessControlPolicy {NAMESPACE}><Owner><ID>{OWNER}</ID></Owner>"
        f"<AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
    )


def _grant(kind: str, who: str, permission: str) -> str:
    instance = f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="{kind}"'
    return (
        f"<Grant><Grantee {instance}>{who}</Grantee><Permission>{permission}</Permission></Grant>"
    )


def listing(name: str, bucket: ObjectBucket, query: Mapping[str, str]) -> HttpResponse:
    """Return `ListObjectsV2`, in pages."""
    if "delimiter" in query:
        raise Denied(501, "NotImplemented", "folders are not simulated")
    prefix, most = query.get("prefix", ""), int(query.get("max-keys", "1000"))
    encoded = query.get("encoding-type") == "url"
    shown_key = quote if encoded else escape
    after = query.get("continuation-token") or query.get("start-after") or query.get("marker") or ""
    matching = [
        (k, v)
        for k in sorted(bucket.objects)
        if k.startswith(prefix) and k > after and (v := bucket.current(k)) is not None
    ]
    shown = matching[:most]
    contents = "".join(
        f"<Contents><Key>{shown_key(k)}</Key><LastModified>{stamp(v.at)}</LastModified>"
        f"<ETag>{escape(v.etag)}</ETag>"
        f"<Size>{len(v.body or b'')}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for k, v in shown
    )
    more = len(matching) > most > 0
    token = (
        f"<NextContinuationToken>{escape(shown[-1][0])}</NextContinuationToken>"
        if more and shown
        else ""
    )
    return xml(
        f"<ListBucketResult {NAMESPACE}><Name>{name}</Name><Prefix>{shown_key(prefix)}</Prefix>"
        f"{'<EncodingType>url</EncodingType>' if encoded else ''}"
        f"<KeyCount>{len(shown)}</KeyCount>"
        f"<MaxKeys>{most}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>"
        f"{token}{contents}</ListBucketResult>"
    )


def version_listing(name: str, bucket: ObjectBucket, query: Mapping[str, str]) -> HttpResponse:
    """Return `ListObjectVersions`, all at once."""
    prefix = query.get("prefix", "")
    encoded = query.get("encoding-type") == "url"
    shown_key = quote if encoded else escape
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
                f"<{tag}><Key>{shown_key(key)}</Key><VersionId>{version.id}</VersionId>"
                f"<IsLatest>{latest}</IsLatest><LastModified>{stamp(version.at)}</LastModified>"
                f"{size}</{tag}>"
            )
    return xml(
        f"<ListVersionsResult {NAMESPACE}><Name>{name}</Name><Prefix>{shown_key(prefix)}</Prefix>"
        f"{'<EncodingType>url</EncodingType>' if encoded else ''}<IsTruncated>false</IsTruncated>"
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
