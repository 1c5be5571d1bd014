"""GitHub: as much of its REST API as a pull request takes, and a page for each pull request.

Branches, commits, trees and files of a repository, in memory. Rules of the documents hold: a branch
that exists is refused with 422, and so is a second pull request from one branch to another.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote

from aiohttp import web

from simulators.clock import WorldClock
from simulators.evidence import Source, rests_on
from simulators.faults import WorldFaults
from simulators.responses import HttpResponse, json_response, send

TOKEN = "github_pat_sim"  # noqa: S105 - a pretend one
DOCS = "docs.github.com, REST API"


@dataclass(frozen=True)
class SimulatedCommit:
    """One commit: the files after it."""

    sha: str
    message: str
    parents: tuple[str, ...]
    tree: str


@dataclass
class SimulatedPull:
    """One pull request."""

    number: int
    title: str
    body: str
    head: str
    base: str
    state: str = "open"
    merged_at: str = ""


@dataclass
class SimulatedRepository:
    """A repository: trees and commits by hash, branches by name."""

    name: str
    trees: dict[str, dict[str, str]] = field(default_factory=dict)
    commits: dict[str, SimulatedCommit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    pulls: list[SimulatedPull] = field(default_factory=list)

    def tree(self, files: Mapping[str, str]) -> str:
        """Store a tree and return its hash."""
        sha = _sha("tree", json.dumps(dict(files), sort_keys=True))
        self.trees[sha] = dict(files)
        return sha

    def commit(self, tree: str, message: str, *parents: str) -> str:
        """Store a commit and return its hash."""
        sha = _sha("commit", tree, message, *parents)
        self.commits[sha] = SimulatedCommit(sha, message, parents, tree)
        return sha

    def push(self, branch: str, files: Mapping[str, str], message: str = "by hand") -> str:
        """Commit these files to a branch, as a person does."""
        parents = [self.branches[branch]] if branch in self.branches else []
        self.branches[branch] = self.commit(self.tree(files), message, *parents)
        return self.branches[branch]

    def files(self, ref: str) -> dict[str, str]:
        """Return the files of a branch or commit."""
        return self.trees[self.commits[self.branches.get(ref, ref)].tree]

    def merge(self, number: int) -> None:
        """Merge a pull request, as a person does."""
        pull = self.pulls[number - 1]
        self.branches[pull.base] = self.branches[pull.head]
        pull.state, pull.merged_at = "closed", "2026-12-01T00:00:00Z"


@dataclass(frozen=True)
class _Call:
    repository: SimulatedRepository
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]
    origin: str


class GitHubRoute(NamedTuple):
    """One operation."""

    verb: str
    path: str
    pattern: re.Pattern[str]
    handler: Callable[[_Call], HttpResponse]


class GitHubRefusal(Exception):
    """An answer of an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


GITHUB_ROUTES: list[GitHubRoute] = []


def _route(verb: str, path: str) -> Callable[[Callable[[_Call], HttpResponse]], Any]:
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>.+)", path))

    def register(handler: Callable[[_Call], HttpResponse]) -> Callable[[_Call], HttpResponse]:
        GITHUB_ROUTES.append(GitHubRoute(verb, path, pattern, handler))
        return handler

    return register


class GitHubApi:
    """Repositories by `owner/name`. `calls`: what was asked, as `POST git/refs`."""

    def __init__(self, clock: WorldClock, faults: WorldFaults, token: str = TOKEN) -> None:
        self._clock, self._faults, self.token = clock, faults, token
        self.repositories: dict[str, SimulatedRepository] = {}
        self.calls: list[str] = []

    def create(self, name: str, files: Mapping[str, str]) -> SimulatedRepository:
        """Create a repository with these files on `main`."""
        repository = SimulatedRepository(name)
        repository.push("main", files, "first")
        self.repositories[name] = repository
        return repository

    def handle(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes = b"",
        origin: str = "https://github.com",
    ) -> HttpResponse:
        """Answer a request. `origin`: where its pages are."""
        try:
            return self._answer(method, unquote(path), query, headers, body, origin)
        except GitHubRefusal as refusal:
            return json_response(refusal.status, {"message": refusal.message})

    def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        origin: str,
    ) -> HttpResponse:
        found = re.fullmatch(r"/repos/([^/]+/[^/]+)/(.+)", path)
        what = found[2] if found else path
        self.calls.append(f"{method} {what}")
        fault = self._faults.pick("github", f"{method} {what}")
        if fault is not None and fault.kind == "reset-before":
            raise ConnectionResetError(what)
        if fault is not None and fault.kind == "503":
            raise GitHubRefusal(503, "Service unavailable")
        if fault is not None and fault.kind == "rate":
            raise GitHubRefusal(403, "API rate limit exceeded")
        given = {k.lower(): v for k, v in headers.items()}.get("authorization", "")
        if given != f"Bearer {self.token}":
            raise GitHubRefusal(401, "Bad credentials")
        if found is None or found[1] not in self.repositories:
            raise GitHubRefusal(404, "Not Found")
        for route in GITHUB_ROUTES:
            params = route.pattern.fullmatch(what)
            if route.verb == method and params is not None:
                sent = json.loads(body) if body else {}
                repository = self.repositories[found[1]]
                answer = route.handler(_Call(repository, params.groupdict(), query, sent, origin))
                if fault is not None and fault.kind == "reset-after":
                    raise ConnectionResetError(what)
                return answer
        raise GitHubRefusal(404, "Not Found")

    def page(self, path: str) -> HttpResponse:
        """Return the page of a pull request."""
        found = re.fullmatch(r"/([^/]+/[^/]+)/pull/(\d+)", path)
        repository = self.repositories.get(found[1]) if found else None
        if found is None or repository is None or not 0 < int(found[2]) <= len(repository.pulls):
            return HttpResponse(404, {"content-type": "text/plain"}, b"not found")
        pull = repository.pulls[int(found[2]) - 1]
        before, after = repository.files(pull.base), repository.files(pull.head)
        changes = [
            f"- {old}\n+ {new}"
            for path in after
            for old, new in zip(
                before.get(path, "").splitlines(), after[path].splitlines(), strict=False
            )
            if old != new
        ]
        parts = [
            f"<h1>{html.escape(pull.title)} <small>#{pull.number}, {pull.state}</small></h1>",
            f"<p>{html.escape(pull.head)} into {html.escape(pull.base)}</p>",
            f"<pre>{html.escape(pull.body)}</pre>",
            f"<pre>{html.escape(chr(10).join(changes))}</pre>",
        ]
        text = f"<!doctype html><title>{html.escape(pull.title)}</title>{''.join(parts)}"
        return HttpResponse(200, {"content-type": "text/html; charset=utf-8"}, text.encode())

    def app(self) -> web.Application:
        """Return it as an application for a socket: the API, and the pages."""

        async def serve(request: web.Request) -> web.StreamResponse:
            origin = f"http://{request.host}"
            try:
                if request.path.startswith("/repos/"):
                    answer = self.handle(
                        request.method,
                        request.path,
                        request.query,
                        request.headers,
                        await request.read(),
                        origin,
                    )
                else:
                    answer = self.page(request.path)
            except ConnectionResetError:
                answer = HttpResponse(0, fate="reset")
            return await send(answer, request, self._clock)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", serve)
        return app


@_route("GET", "contents/{path}")
def _contents(call: _Call) -> HttpResponse:
    files = _files(call.repository, call.query.get("ref", "main"))
    path = call.params["path"]
    if path not in files:
        raise GitHubRefusal(404, "Not Found")
    text = files[path].encode()
    encoded = base64.encodebytes(text).decode()  # with line ends, as GitHub answers
    return json_response(
        200,
        {
            "type": "file",
            "encoding": "base64",
            "size": len(text),
            "path": path,
            "content": encoded,
            "sha": _sha("blob", files[path]),
        },
    )


@_route("GET", "git/ref/heads/{branch}")
def _ref(call: _Call) -> HttpResponse:
    branch = call.params["branch"]
    if branch not in call.repository.branches:
        raise GitHubRefusal(404, "Not Found")
    return json_response(200, _ref_view(branch, call.repository.branches[branch]))


@_route("GET", "git/commits/{sha}")
def _commit(call: _Call) -> HttpResponse:
    return json_response(200, _commit_view(_commit_of(call.repository, call.params["sha"])))


@_route("POST", "git/trees")
def _new_tree(call: _Call) -> HttpResponse:
    base = str(call.body.get("base_tree", ""))
    if base and base not in call.repository.trees:
        raise GitHubRefusal(404, "Not Found")
    files = dict(call.repository.trees.get(base, {}))
    for entry in call.body["tree"]:
        if entry["mode"] != "100644" or entry["type"] != "blob":
            raise GitHubRefusal(422, "Validation Failed")
        files[entry["path"]] = entry["content"]
    return json_response(201, {"sha": call.repository.tree(files)})


@_route("POST", "git/commits")
def _new_commit(call: _Call) -> HttpResponse:
    tree, parents = str(call.body["tree"]), call.body["parents"]
    if tree not in call.repository.trees:
        raise GitHubRefusal(422, "Tree SHA does not exist")
    for parent in parents:
        _commit_of(call.repository, parent)
    sha = call.repository.commit(tree, str(call.body["message"]), *parents)
    return json_response(201, _commit_view(call.repository.commits[sha]))


@_route("POST", "git/refs")
def _new_ref(call: _Call) -> HttpResponse:
    ref, sha = str(call.body["ref"]), str(call.body["sha"])
    branch = ref.removeprefix("refs/heads/")
    if branch == ref or sha not in call.repository.commits:
        raise GitHubRefusal(422, "Object does not exist")
    if branch in call.repository.branches:
        raise GitHubRefusal(422, "Reference already exists")
    call.repository.branches[branch] = sha
    return json_response(201, _ref_view(branch, sha))


@_route("GET", "pulls")
def _pulls(call: _Call) -> HttpResponse:
    owner, _, branch = call.query.get("head", "").partition(":")
    state = call.query.get("state", "open")
    assert not owner or owner == call.repository.name.partition("/")[0], "forks are not simulated"
    found = [
        p
        for p in reversed(call.repository.pulls)
        if branch in ("", p.head) and state in ("all", p.state)
    ]
    return json_response(200, [_pull_view(call, p) for p in found])


@_route("POST", "pulls")
def _new_pull(call: _Call) -> HttpResponse:
    repository, body = call.repository, call.body
    head, base = str(body["head"]), str(body["base"])
    if head not in repository.branches or base not in repository.branches:
        raise GitHubRefusal(422, "Validation Failed")
    if repository.branches[head] == repository.branches[base]:
        raise GitHubRefusal(422, f"No commits between {base} and {head}")
    if any(p.head == head and p.base == base and p.state == "open" for p in repository.pulls):
        raise GitHubRefusal(422, "A pull request already exists")
    number = len(repository.pulls) + 1
    pull = SimulatedPull(number, str(body["title"]), str(body.get("body", "")), head, base)
    repository.pulls.append(pull)
    return json_response(201, _pull_view(call, pull))


def _files(repository: SimulatedRepository, ref: str) -> dict[str, str]:
    if ref not in repository.branches and ref not in repository.commits:
        raise GitHubRefusal(404, f"No commit found for the ref {ref}")
    return repository.files(ref)


def _commit_of(repository: SimulatedRepository, sha: str) -> SimulatedCommit:
    if sha not in repository.commits:
        raise GitHubRefusal(404, "Not Found")
    return repository.commits[sha]


def _ref_view(branch: str, sha: str) -> dict[str, Any]:
    return {"ref": f"refs/heads/{branch}", "object": {"type": "commit", "sha": sha}}


def _commit_view(commit: SimulatedCommit) -> dict[str, Any]:
    return {
        "sha": commit.sha,
        "message": commit.message,
        "tree": {"sha": commit.tree},
        "parents": [{"sha": p} for p in commit.parents],
    }


def _pull_view(call: _Call, pull: SimulatedPull) -> dict[str, Any]:
    return {
        "number": pull.number,
        "state": pull.state,
        "title": pull.title,
        "body": pull.body,
        "merged_at": pull.merged_at or None,
        "html_url": f"{call.origin}/{call.repository.name}/pull/{pull.number}",
        "head": {"ref": pull.head, "sha": call.repository.branches.get(pull.head, "")},
        "base": {"ref": pull.base},
    }


def _sha(*parts: str) -> str:
    # What it is of is only compared; as long as git's.
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


rests_on(
    "GitHub",
    Source.DOCUMENT,
    f"{DOCS}: Get repository content",
    "GET contents/{path}",
)
rests_on(
    "GitHub",
    Source.DOCUMENT,
    f"{DOCS}: Git database (references, trees, commits)",
    "GET git/ref/heads/{branch}",
    "GET git/commits/{sha}",
    "POST git/trees",
    "POST git/commits",
    "POST git/refs",
)
rests_on("GitHub", Source.DOCUMENT, f"{DOCS}: Pulls", "GET pulls", "POST pulls")
