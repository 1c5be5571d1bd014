"""One user's screen, as JSON for the page."""

from collections.abc import Callable, Sequence

from simulators.slack.blockkit import check_blocks
from simulators.slack.fake_slack import FakeSlack
from simulators.slack.model import JSON, Channel, Message, View

SHOWN = 150


class Guide:
    """Steps for a newcomer, ticked as they happen.

    A step is `{"text": ..., "done": {...}}` with one of: `typed` (how the text begins), `pressed`
    (a label), `acting_as` (a user id), `opened` ("home"), `submitted` (a modal's title), `message`
    (a text in any message, or several in the same one). `by` narrows the first ones to a user,
    `exactly` to that text alone. Optional: `fill` (put into the composer at a click on the step)
    and `as` (user to switch to at a click).
    """

    def __init__(self, slack: FakeSlack, steps: Sequence[JSON]) -> None:
        self.slack = slack
        self.steps = list(steps)
        self.ticked: set[int] = set()

    def as_json(self) -> list[JSON]:
        """Return the steps, with what is done."""
        for number, step in enumerate(self.steps):
            done = step.get("done", {})
            # A text may be on the screen long before its step comes.
            early = "message" in done and not self.ticked.issuperset(range(number))
            if number not in self.ticked and not early and self._is_done(done):
                self.ticked.add(number)
        return [step | {"ticked": number in self.ticked} for number, step in enumerate(self.steps)]

    def _is_done(self, done: JSON) -> bool:
        if "message" in done:
            texts = [done["message"]] if isinstance(done["message"], str) else done["message"]
            said = (
                m.text + str(m.blocks)
                for c in self.slack.workspace.channels.values()
                for m in c.messages.values()
            )
            return any(all(text in message for text in texts) for message in said)
        verb = next(
            (verb for verb in ("typed", "pressed", "opened", "submitted") if verb in done),
            "acting_as",
        )
        wanted, by = str(done.get(verb, "")), done.get("by")
        for user, did, what in self.slack.workspace.acts:
            meant = what == wanted if done.get("exactly") else what.startswith(wanted)
            if (
                did == verb
                and by in (None, user)
                and (user == wanted if verb == "acting_as" else meant)
            ):
                return True
        return False


class ScreenSnapshots:
    """Makes snapshots of screens."""

    def __init__(
        self,
        slack: FakeSlack,
        completions: Sequence[JSON],
        guide: Guide,
        panel: Callable[[], JSON] | None,
    ) -> None:
        self.slack = slack
        self.completions = [*self._declared(), *completions]
        self.guide = guide
        self.panel = panel

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
            "topic": channel.topic,
            "members": len(channel.members),
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
                {"id": file.id, "name": file.name, "title": file.title or file.name}
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
