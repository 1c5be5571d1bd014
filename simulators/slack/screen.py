"""One user's screen, as JSON for the page."""

from collections.abc import Callable, Collection, Iterator, Sequence

from simulators.slack.blockkit import check_blocks
from simulators.slack.fake_slack import FakeSlack
from simulators.slack.model import JSON, Channel, Message, View
from simulators.slack.user import may_write
from simulators.slack.workspace import SlackWorkspace, elements_of

SHOWN = 150


class Guide:
    """Steps for a newcomer, ticked as they happen.

    A step is `{"text": ..., "done": {...}}`. `done` has one of: `typed` (how the text begins),
    `pressed` (how a label begins), `acting_as` (a user id), `opened` ("home"), `submitted` (a
    modal's title), or what is so now: `offered` (how the label of a button in a channel begins, and
    with `about` a text of that message), `said` (in a message that everyone sees), `fact` (one of
    `facts()`: what is true in the world), or several of these. `by` narrows actions to a user,
    `exactly` to that text alone; a label with `…` only opens a form. A list of these is done when
    one of them is.

    What is offered, said or true may be so long before its step, so it counts only once the steps
    before are done; with `fresh` the same is true of an action. Optional: `fill` (put into the
    composer at a click on the step), `as` (user to switch to at a click), `open` (a page), `press`
    (labels of buttons in the chat; a click leads to the first that is there), `panel` (a button
    beside the chat, to which a click leads) and `part` (a name for this step and those that follow
    it). `detour` is shown in place of a step for as long as a message says its `said`.
    """

    def __init__(
        self,
        slack: FakeSlack,
        steps: Sequence[JSON],
        facts: Callable[[], Collection[str]] = tuple,
        detour: JSON | None = None,
    ) -> None:
        self.slack = slack
        self.steps = list(steps)
        self.detour = detour
        self.facts = facts
        self.ticked: set[int] = set()
        self._since = 0.0

    def as_json(self) -> list[JSON]:
        """Return the steps, with what is done."""
        for number, step in enumerate(self.steps):
            done = step.get("done", {})
            either = done if isinstance(done, list) else [done]
            if number not in self.ticked and any(self._is_done(one, number) for one in either):
                self.ticked.add(number)
                self._since = self.slack.workspace.clock.now()
        shown = [step | {"ticked": number in self.ticked} for number, step in enumerate(self.steps)]
        if self.detour and _says(self.slack.workspace, self.detour["said"]):
            for step in [step for step in shown if not step["ticked"]][:1]:
                step.update(text=self.detour["text"], press=[], panel=None, fill="")
        return shown

    def _is_done(self, done: JSON, number: int) -> bool:
        in_turn = self.ticked.issuperset(range(number))
        if done.keys() & {"fact", "offered", "said"}:
            return in_turn and self._is_so(done)
        if done.get("fresh") and not in_turn:
            return False
        return any(self._fits(done, *action) for action in self.slack.workspace.user_actions)

    def _is_so(self, done: JSON) -> bool:
        if "fact" in done and done["fact"] not in self.facts():
            return False
        if "said" in done and not _says(self.slack.workspace, done["said"]):
            return False
        label, about = str(done.get("offered", "")), str(done.get("about", ""))
        return not label or is_offered(self.slack.workspace, label, about)

    def _fits(self, done: JSON, moment: float, user: str, did: str, what: str) -> bool:
        verb = next(
            (verb for verb in ("typed", "pressed", "opened", "submitted") if verb in done),
            "acting_as",
        )
        if did != verb or done.get("by") not in (None, user):
            return False
        if done.get("fresh") and moment < self._since:
            return False
        wanted = str(done.get(verb, ""))
        if verb == "acting_as":
            return user == wanted
        if verb == "pressed" and what.endswith("…"):
            return False
        if done.get("exactly"):
            return what == wanted
        return what.startswith(wanted)


def _says(place: SlackWorkspace, text: str) -> bool:
    """Return whether a message that everyone sees has this text."""
    return any(text in message.text + str(message.blocks) for message in _seen_by_all(place))


def _seen_by_all(place: SlackWorkspace) -> Iterator[Message]:
    for channel in place.channels.values():
        for message in channel.messages.values():
            if message.ephemeral_to is None and not channel.im_with:
                yield message


def is_offered(place: SlackWorkspace, label: str, about: str = "") -> bool:
    """Return whether a message that everyone sees has a button whose label begins so.

    `about`: a text of that message.
    """
    return any(
        any(text.startswith(label) for text in _buttons(message))
        and about in message.text + str(message.blocks)
        for message in _seen_by_all(place)
    )


def _buttons(message: Message) -> list[str]:
    """Return the labels of the buttons of a message."""
    return [
        str(element["text"]["text"])
        for block in message.blocks
        for element in elements_of(block)
        if element.get("type") == "button"
    ]


class ScreenSnapshots:
    """Makes snapshots of screens."""

    def __init__(
        self,
        slack: FakeSlack,
        completions: Sequence[JSON],
        guide: Guide,
        panel: Callable[[], JSON] | None,
        starting: Callable[[], str] = str,
    ) -> None:
        self.slack = slack
        self.completions = [*self._declared(), *completions]
        self.guide = guide
        self.panel = panel
        self.starting = starting

    def snapshot(self, user: str) -> JSON:
        """Return everything on this user's screen."""
        place = self.slack.workspace
        channels = [channel for channel in place.channels.values() if user in channel.members]
        stack, home = place.views.get(user, []), place.homes.get(user)
        return {
            "revision": place.revision,
            "now": place.clock.now(),
            "me": user,
            "team": place.domain.title(),
            "bot": place.bot.id,
            "app": place.bot.name,
            "users": [one.as_json() for one in place.users.values()],
            "groups": [{"id": group.id, "handle": group.handle} for group in place.groups.values()],
            "channels": [self._channel(user, channel) for channel in channels],
            "modal": self._view(stack[-1], len(stack)) if stack else None,
            "home": self._view(home, 1) if home else None,
            "guide": self.guide.as_json(),
            "starting": self.starting(),
            "panel": self.panel() if self.panel else None,
            "journal": self.slack.journal.count,
            "problems": len(self.slack.journal.problems),
            "home_enabled": bool(
                self.slack.manifest.get("features", {}).get("app_home", {}).get("home_tab_enabled")
            ),
        }

    def _channel(self, user: str, channel: Channel) -> JSON:
        messages = self.slack.workspace.visible(user, channel)[-SHOWN:]
        return {
            "id": channel.id,
            "name": channel.name,
            "private": channel.is_private,
            "im": bool(channel.im_with),
            "writable": may_write(self.slack.manifest, channel),
            "topic": channel.topic,
            # As Slack counts them: an app is no member.
            "members": sum(
                not self.slack.workspace.users[member].is_bot for member in channel.members
            ),
            "messages": [self._message(message) for message in messages],
        }

    def _message(self, message: Message) -> JSON:
        files = [self.slack.workspace.files[one] for one in message.files]
        return {
            "ts": message.ts,
            "user": message.user,
            "text": message.text,
            "blocks": message.blocks,
            "edited": bool(message.edited),
            "version": message.edited or message.ts,
            "private": message.ephemeral_to is not None,
            "thread": message.thread_ts,
            "broadcast": message.broadcast,
            "pinned": message.pinned,
            "error": message.error,
            "reactions": [
                {"name": name, "count": len(who)} for name, who in message.reactions.items()
            ],
            "files": [
                {
                    "id": file.id,
                    "name": file.name,
                    "title": file.title or file.name,
                    "alt": file.alt,
                }
                for file in files
            ],
            "odd": bool(message.blocks and check_blocks(message.blocks)),
        }

    def _view(self, view: View, depth: int) -> JSON:
        return {
            "id": view.id,
            "hash": view.hash,
            "body": view.body,
            "errors": view.errors,
            "trouble": view.trouble,
            "depth": depth,
        }

    def _declared(self) -> list[JSON]:
        commands = self.slack.manifest.get("features", {}).get("slash_commands", [])
        names = {"text": "command", "hint": "usage_hint", "about": "description"}
        return [{key: str(one.get(name, "")) for key, name in names.items()} for one in commands]
