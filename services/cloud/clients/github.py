"""A Terraform variables file at GitHub: read, and changed by pull requests only.

A pull request takes four writes: a tree, a commit, a branch, the pull request. Trees and commits
that no branch has are seen by no one, and GitHub refuses a second branch or pull request of the
same name. So each of them can be repeated, after a crash and by two bots at once. No branch is ever
moved; the base branch is only read.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from services.cloud.clients.http import HttpClient, Reply
from services.common.errors import Forbidden, NotFound, Rejected, Unreachable, Unreadable
from services.terraform.port import ProposedChange, PullRequest

API_VERSION = "2022-11-28"
SECONDS = 10.0
# Branches of the bot; the base branch may not begin so.
BRANCHES = "openvidu-bot/"
CONFLICTS = frozenset({409, 422})
FILE_MODE = "100644"
LATER = frozenset({403, 429})
# An address that may stand in a message as it is.
PAGE = re.compile(r"https?://[\w.:/-]{3,300}", re.ASCII)


class GitHubFile:
    """One file of a repository. `repository`: `owner/name`; `base`: the branch that is applied.

    `template`: the vendor's template there, which is only read; "" for none.
    """

    takes_pulls = True

    def __init__(
        self,
        http: HttpClient,
        token: str,
        api_url: str,
        repository: str,
        path: str,
        base: str,
        template: str = "",
    ) -> None:
        self._http = http
        self._token = token
        self._root = f"{api_url.rstrip('/')}/repos/{repository}"
        self._repository = repository
        self._base = base
        self.path = path
        self.template = template

    def __repr__(self) -> str:
        return f"GitHubFile({self._repository}, {self.path})"

    async def read(self) -> str:
        """Return the text on the base branch."""
        return await self._read(self._base, self.path)

    async def read_template(self) -> str:
        """Return the text of the template on the base branch."""
        return await self._read(self._base, self.template)

    async def propose(self, change: ProposedChange) -> PullRequest:
        """Open the pull request of this branch, or return the open one."""
        if not change.branch.startswith(BRANCHES) or change.branch == self._base:
            raise Rejected(f"{change.branch} is no branch of the bot")
        if not await self._has(change.branch):
            await self._make_branch(change)
        if await self._read(change.branch, self.path) != change.after:
            raise Rejected(
                f"the branch {change.branch} holds something else. Delete it at GitHub to try again"
            )
        return await self._make_pull(change)

    async def _has(self, branch: str) -> bool:
        try:
            await self._get(f"git/ref/heads/{quote(branch)}")
        except NotFound:
            return False
        return True

    async def _make_branch(self, change: ProposedChange) -> None:
        """Create the branch with its commit, in one write that others can see."""
        base = await self._get(f"git/ref/heads/{quote(self._base)}")
        head = _text(base, "object", "sha")
        if await self._read(head, self.path) != change.before:
            raise Rejected(f"{self.path} has changed since the patch was shown")
        commit = await self._get(f"git/commits/{head}")
        entry = {"path": self.path, "mode": FILE_MODE, "type": "blob", "content": change.after}
        tree = await self._post(
            "git/trees", {"base_tree": _text(commit, "tree", "sha"), "tree": [entry]}
        )
        made = await self._post(
            "git/commits",
            {
                "message": f"{change.title}\n\n{change.body}",
                "tree": _text(tree, "sha"),
                "parents": [head],
            },
        )
        new = {"ref": f"refs/heads/{change.branch}", "sha": _text(made, "sha")}
        try:
            await self._post("git/refs", new)
        except Rejected as error:
            # Another bot was faster; what the branch holds is read next.
            if error.status not in CONFLICTS or not await self._has(change.branch):
                raise

    async def _make_pull(self, change: ProposedChange) -> PullRequest:
        new = {
            "title": change.title,
            "body": change.body,
            "head": change.branch,
            "base": self._base,
        }
        try:
            return _pull(await self._post("pulls", new))
        except Rejected as error:
            found = await self.find(change.branch) if error.status in CONFLICTS else None
            if found is None:
                raise
            return found

    async def find(self, branch: str) -> PullRequest | None:
        """Return the pull request of that branch, open or not; None for none."""
        owner = self._repository.partition("/")[0]
        found = await self._get("pulls", head=f"{owner}:{branch}", state="all")
        if not isinstance(found, list):
            raise Unreadable("GitHub's pull requests", "list")
        # A fork may have a branch of the same name.
        ours = [p for p in found if _text(p, "head", "ref") == branch]
        return _pull(ours[0]) if ours else None

    async def _read(self, ref: str, path: str) -> str:
        found = await self._get(f"contents/{quote(path)}", ref=ref)
        if not isinstance(found, dict) or found.get("encoding") != "base64":
            raise Unreadable(f"{path} at GitHub", "content")
        try:
            return base64.b64decode(_text(found, "content")).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise Unreadable(f"{path} at GitHub", "content") from None

    async def _get(self, what: str, **query: str) -> Any:
        tail = f"?{urlencode(query)}" if query else ""
        reply = await self._http.get(
            f"{self._root}/{what}{tail}", headers=self._headers, timeout=SECONDS
        )
        return self._answer(f"reading {what.partition('/')[0]} of {self._repository}", reply)

    async def _post(self, what: str, body: Mapping[str, object]) -> Any:
        reply = await self._http.post(
            f"{self._root}/{what}", body, headers=self._headers, timeout=SECONDS
        )
        return self._answer(f"creating {what} in {self._repository}", reply)

    @property
    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": API_VERSION,
            "User-Agent": "openvidu-bot",
        }

    def _answer(self, doing: str, reply: Reply) -> Any:
        """Return what was answered; an error holds nothing of the body."""
        status = reply.status
        if status in LATER and b"rate limit" in reply.body.lower():
            raise Unreachable(f"{doing}: GitHub's rate limit is reached", sent=True)
        match status:
            case 200 | 201:
                try:
                    return json.loads(reply.body)
                except ValueError:
                    raise Unreadable(doing, "JSON") from None
            case 401:
                raise Forbidden(f"{doing}: GitHub does not accept the token", status=status)
            case 403:
                raise Forbidden(
                    f"{doing}: the token lacks Contents or Pull requests (write)", status=status
                )
            case 404:
                raise NotFound(
                    f"{doing}: no such repository, branch or file for this token", status=status
                )
            case _ if status >= 500 or status == 429:
                raise Unreachable(f"{doing}: GitHub answers {status}")
        raise Rejected(f"{doing}: GitHub answers {status}", status=status)


def _text(answer: Any, *path: str) -> str:
    """Return a text in an answer. Unreadable where there is none."""
    for part in path:
        answer = answer.get(part) if isinstance(answer, dict) else None
    if not isinstance(answer, str):
        raise Unreadable("GitHub's answer", ".".join(path))
    return answer


def _pull(answer: Any) -> PullRequest:
    number = answer.get("number") if isinstance(answer, dict) else None
    if not isinstance(number, int):
        raise Unreadable("GitHub's pull request", "number")
    state = "merged" if answer.get("merged_at") else _text(answer, "state")
    url = _text(answer, "html_url")
    if not PAGE.fullmatch(url):
        raise Unreadable("GitHub's pull request", "html_url")
    return PullRequest(number, url, state)
