"""Users, and what they can do in a Slack client."""

import asyncio
import re
from collections.abc import Callable
from typing import TypeVar

from simulators.slack import payloads
from simulators.slack.blockkit import check_view
from simulators.slack.delivery import AppDelivery, Delivered
from simulators.slack.elements import (
    NotPossible,
    answered,
    find,
    interactive,
    is_empty,
    option,
    state_of,
)
from simulators.slack.model import JSON, Channel, Message, ResponseUrl, SlackError, User, View
from simulators.slack.response_urls import Responses
from simulators.slack.workspace import SlackWorkspace

T = TypeVar("T")
Where = Message | View | str
TROUBLE = "We had some trouble connecting. Try again?"


class SimulatedUser:
    """One user at one screen.

    What a client refuses raises NotPossible. One class although it is long: every method is one
    action of the same user on the same screen.
    """

    def __init__(
        self,
        workspace: SlackWorkspace,
        delivery: AppDelivery,
        user: str,
        manifest: JSON | None = None,
    ) -> None:
        self.workspace = workspace
        self.delivery = delivery
        self.user: User = workspace.users[user]
        self.manifest = manifest or {}
        self.responses = Responses(workspace, delivery.journal)

    # --- typing

    async def type_text(
        self, channel: str, text: str, thread_ts: str | None = None
    ) -> Message | None:
        """Type into a channel: a slash command or a message.

        Returns the immediate answer, or the message.
        """
        where = self._inside(channel)
        if not may_write(self.manifest, where):
            raise NotPossible("sending messages to this app has been turned off")
        if text.startswith("/"):
            return await self._commands(where, text, thread_ts)
        message = self.workspace.post(where, self.user.id, self._escape(text), thread_ts=thread_ts)
        self.workspace.record_action(self.user.id, "typed", text)
        if f"<@{self.workspace.bot.id}>" in message.text and not where.im_with:
            await self._event("app_mention", payloads.mention(self.workspace, message))
        elif where.im_with:
            await self._event("message.im", payloads.mention(self.workspace, message, "message"))
        return message

    async def mention_bot(
        self, channel: str, text: str, thread_ts: str | None = None
    ) -> Message | None:
        """Write a message that mentions the bot, optionally in a thread."""
        return await self.type_text(channel, f"<@{self.workspace.bot.id}> {text}", thread_ts)

    async def open_home(self) -> View | None:
        """Open the bot's App Home; returns what it already shows."""
        self._awake()
        if not self.manifest.get("features", {}).get("app_home", {}).get("home_tab_enabled"):
            raise NotPossible("this app has no Home tab")
        self.workspace.record_action(self.user.id, "opened", "home")
        await self._event("app_home_opened", payloads.home_opened(self.workspace, self.user))
        return self.workspace.homes.get(self.user.id)

    # --- elements on the screen

    async def press(
        self, where: Where, label: str, *, confirm: bool = True, block_id: str = ""
    ) -> Delivered:
        """Press a button, and answer its confirm dialog if it has one."""
        place = self._place(where)
        block, element = find(place.blocks, label, ("button",), block_id)
        self._confirm(element, confirm=confirm)
        action = {"text": element["text"]} | {
            key: element[key] for key in ("value", "style") if key in element
        }
        self.workspace.record_action(self.user.id, "pressed", str(element["text"]["text"]))
        if isinstance(place, Message):
            self.workspace.pressed(self.user.id, place, element)
        return await self._act(place, block, element, action)

    async def use_shortcut(self, message: Message, name: str) -> Delivered:
        """Choose a shortcut of the app in a message's context menu."""
        self._inside(message.channel)
        if message.ephemeral_to:
            raise NotPossible("a message that only one person sees has no shortcuts")
        shortcuts = self.manifest.get("features", {}).get("shortcuts", [])
        declared = {s["name"]: s["callback_id"] for s in shortcuts if s["type"] == "message"}
        if name not in declared:
            raise NotPossible(f"there is no shortcut {name!r}; there is: {', '.join(declared)}")
        self.workspace.record_action(self.user.id, "chose", name)
        payload = payloads.message_shortcut(self.workspace, self.user, message, declared[name])
        return await self.delivery.deliver("interactive", payload)

    async def press_on_old_screen(self, before: Message, label: str) -> Delivered:
        """Press a button that a message had before it was edited.

        This client has not seen the edit yet.
        """
        self._place(before)
        block, element = find(before.blocks, label, ("button",))
        action = {"text": element["text"]} | {
            key: element[key] for key in ("value", "style") if key in element
        }
        self.workspace.record_action(self.user.id, "pressed", str(element["text"]["text"]))
        self.workspace.pressed(self.user.id, before, element)
        return await self._act(before, block, element, action)

    async def select(
        self, where: Where, field: str, answer: object, *, confirm: bool = True, block_id: str = ""
    ) -> Delivered:
        """Select from a list, tick, or pick a date."""
        place = self._place(where)
        block, element = find(place.blocks, field, (), block_id)
        if element["type"] == "button":
            raise NotPossible(f"{field!r} is a button")
        payload = answered(element, answer)
        self._confirm(element, confirm=confirm)
        self._remember(place, block, element, payload)
        action = {key: value for key, value in payload.items() if key != "type"}
        # An input sends nothing before it is submitted, unless it asks for that.
        if block["type"] == "input" and not block.get("dispatch_action"):
            return Delivered(acked=True)
        return await self._act(place, block, element, action)

    async def overflow(
        self, where: Where, choice: str, menu: str = "", *, confirm: bool = True
    ) -> Delivered:
        """Select from an overflow menu."""
        place = self._place(where)
        for block, element in interactive(place.blocks):
            if element["type"] == "overflow" and menu in (
                "",
                element["action_id"],
                block["block_id"],
            ):
                picked = option(element, choice)
                self._confirm(element, confirm=confirm)
                self.workspace.record_action(self.user.id, "pressed", str(picked["text"]["text"]))
                return await self._act(place, block, element, {"selected_option": picked})
        raise NotPossible("there is no such menu here")

    async def fill(self, view: View | None, answers: dict[str, object]) -> View:
        """Type into the fields of the modal."""
        top = self._top(view)
        for name, answer in answers.items():
            await self.select(top, name, answer)
        return top

    async def fill_and_submit(self, view: View | None, answers: dict[str, object]) -> View | None:
        """Fill in the modal and submit it.

        Returns the modal that is then on the screen, with its errors, or None.
        """
        top = await self.fill(view, answers)
        if "submit" not in top.body:
            raise NotPossible("this modal has nothing to submit")
        state = state_of(top.blocks, top.typed)
        for block in top.blocks:
            if block["type"] == "input" and not block.get("optional"):
                element = block["element"]
                if is_empty(element, state[block["block_id"]][element["action_id"]]):
                    raise NotPossible(
                        f"please complete this required field: {block['label']['text']}"
                    )
        self.workspace.record_action(self.user.id, "submitted", top.title)
        done = await self.delivery.deliver(
            "interactive",
            payloads.view_submission(self.workspace, self.user, top, state),
            True,  # noqa: FBT003
        )
        self._submitted(top, done)
        return self.modal()

    async def close(self, view: View | None = None, *, everything: bool = False) -> None:
        """Close the modal, or the whole stack."""
        top = self._top(view)
        everything = everything or bool(top.body.get("clear_on_close"))
        closed = [one for one in self.workspace.views[self.user.id] if one is top or everything]
        self.workspace.close_view(top, everything=everything)
        for one in reversed(closed):
            if one.body.get("notify_on_close"):
                await self.delivery.deliver(
                    "interactive",
                    payloads.view_closed(self.workspace, self.user, one, cleared=everything),
                )

    # --- reading

    def visible_messages(self, channel: str) -> list[Message]:
        """Return the messages that this user sees in a channel, ephemeral ones included."""
        return self.workspace.visible(self.user.id, self.workspace.channel(channel))

    def modal(self) -> View | None:
        """Return the modal on this user's screen."""
        stack = self.workspace.views.get(self.user.id, [])
        return stack[-1] if stack else None

    def home(self) -> View | None:
        """Return this user's App Home."""
        return self.workspace.homes.get(self.user.id)

    async def wait_for(self, predicate: Callable[[], T | None], timeout: float = 30.0) -> T:
        """Check at every change until the predicate returns something true, and return that."""
        return await wait_for(self.workspace, predicate, timeout)

    async def wait_for_message(self, channel: str, text: str, timeout: float = 30.0) -> Message:
        """Wait for a message that contains this text."""

        def seen() -> Message | None:
            return next(
                (
                    m
                    for m in reversed(self.visible_messages(channel))
                    if text in m.text or text in str(m.blocks)
                ),
                None,
            )

        return await self.wait_for(seen, timeout)

    # --- helpers

    def _awake(self) -> None:
        if self.user.deleted:
            raise NotPossible(f"{self.user.name} has been deactivated")

    def _inside(self, channel: str) -> Channel:
        self._awake()
        where = self.workspace.channel(channel)
        if self.user.id not in where.members:
            raise NotPossible(f"{self.user.name} is not in #{where.name}")
        if where.is_archived:
            raise NotPossible(f"#{where.name} has been archived")
        return where

    async def _commands(self, where: Channel, text: str, thread_ts: str | None) -> Message | None:
        command, _, rest = text.partition(" ")
        declared = [
            str(one["command"])
            for one in self.manifest.get("features", {}).get("slash_commands", [])
        ]
        if command not in declared:
            raise NotPossible(
                f"{command} is not a valid command. "
                "In Slack, all messages that start with the “/” character are commands."
            )
        if thread_ts:
            raise NotPossible(f"{command} is not supported in threads. Sorry!")
        self.workspace.record_action(self.user.id, "typed", text)
        payload = payloads.slash_command(
            self.workspace, self.user, where, command, self._escape(rest.strip())
        )
        done = await self.delivery.deliver("slash_commands", payload, True)  # noqa: FBT003
        if not done.acked:
            return self._failed(where.id, command, done.error)
        if not done.payload:
            return None
        if done.payload.get("response_type") == "in_channel":
            self.workspace.post(where, self.user.id, text)
        try:
            return self.responses.say(ResponseUrl(self.user.id, where.id, 0), done.payload)
        except SlackError as refused:
            self.delivery.journal.complain(f"{command}: {refused.code} in the ack {refused.extra}")
            return self._failed(where.id, command, "invalid_command_response")

    def _failed(self, channel: str, what: str, error: str) -> Message:
        code = error.partition(":")[0]
        return self.workspace.post_ephemeral(
            self.user.id, channel, f'{what} failed with the error "{code}"', error=True
        )

    def _escape(self, text: str) -> str:
        """Turn @names and #channels into ids, as the client does."""
        people = {user.name: f"<@{user.id}>" for user in self.workspace.users.values()}
        people |= {
            group.handle: f"<!subteam^{group.id}>" for group in self.workspace.groups.values()
        }
        rooms = {
            channel.name: f"<#{channel.id}|{channel.name}>"
            for channel in self.workspace.channels.values()
            if channel.name
        }
        text = re.sub(r"(?<![\w<])@([\w.-]*\w)", lambda found: people.get(found[1], found[0]), text)
        return re.sub(r"(?<![\w<])#([\w-]+)", lambda found: rooms.get(found[1], found[0]), text)

    async def _event(self, name: str, payload: JSON) -> None:
        if name in self.manifest.get("settings", {}).get("event_subscriptions", {}).get(
            "bot_events", []
        ):
            await self.delivery.deliver("events_api", payload)

    def _place(self, where: Where) -> Message | View:
        """Return the present message or view, not the one from when the test looked."""
        self._awake()
        if isinstance(where, Message):
            where = where.ts
        if isinstance(where, View):
            if where not in (*self.workspace.views.get(self.user.id, []), self.home()):
                raise NotPossible("this view is no longer on the screen")
            return where
        place = self._by_name(where)
        if place is None:
            raise NotPossible(f"there is no {where} on {self.user.name}'s screen")
        return place

    def _by_name(self, where: str) -> Message | View | None:
        match where:
            case "home":
                return self.home()
            case "modal":
                return self.modal()
        return self._message(where)

    def _message(self, ts: str) -> Message:
        for channel in self.workspace.channels.values():
            for message in self.workspace.visible(self.user.id, channel):
                if message.ts == ts:
                    return message
        raise NotPossible(f"{self.user.name} does not see this message (any more)")

    def _top(self, view: View | None) -> View:
        self._awake()
        top = self.modal()
        if top is None or (view is not None and view is not top):
            raise NotPossible("this modal is not on top of the screen")
        return top

    def _confirm(self, element: JSON, *, confirm: bool) -> None:
        if "confirm" in element and not confirm:
            raise NotPossible(f"declined: {element['confirm']['title']['text']}")

    def _typed(self, place: Message | View) -> dict[str, dict[str, JSON]]:
        if isinstance(place, View):
            return place.typed
        return self.workspace.typed.setdefault((self.user.id, place.ts), {})

    def _remember(self, place: Message | View, block: JSON, element: JSON, payload: JSON) -> None:
        self._typed(place).setdefault(block["block_id"], {})[element["action_id"]] = payload

    async def _act(
        self, place: Message | View, block: JSON, element: JSON, more: JSON
    ) -> Delivered:
        action = {
            "type": element["type"],
            "action_id": element["action_id"],
            "block_id": block["block_id"],
        } | more
        action["action_ts"] = self.workspace.next_ts()
        state = state_of(place.blocks, self._typed(place))
        if isinstance(place, View):
            payload = payloads.view_action(self.workspace, self.user, place, action, state)
        else:
            payload = payloads.message_action(self.workspace, self.user, place, action, state)
        done = await self.delivery.deliver("interactive", payload)
        if not done.acked and isinstance(place, Message):
            self._failed(
                place.channel, str(element.get("text", {}).get("text", "This")), done.error
            )
        elif not done.acked and isinstance(place, View):
            place.trouble = TROUBLE
            self.workspace.changed()
        return done

    def _submitted(self, view: View, done: Delivered) -> None:
        """Change the stack of modals as the app's answer to a submission asks."""
        answer = done.payload or {}
        what = answer.get("response_action", "")
        view.errors, view.trouble = {}, ""
        if not done.acked:
            view.trouble = TROUBLE
        elif what == "errors":
            view.errors = {str(block): str(text) for block, text in answer["errors"].items()}
            unknown = set(view.errors) - {
                str(block["block_id"]) for block in view.blocks if block["type"] == "input"
            }
            if unknown:
                self.delivery.journal.complain(
                    "view_submission: errors for blocks that are no inputs: "
                    f"{', '.join(sorted(unknown))}"
                )
        elif what in ("update", "push"):
            self._answered_with_view(view, answer, push=what == "push")
        else:
            self.workspace.close_view(view, everything=what == "clear")
        self.workspace.changed()

    def _answered_with_view(self, view: View, answer: JSON, *, push: bool) -> None:
        problems = check_view(answer.get("view"))
        if problems:
            self.delivery.journal.complain(
                f"view_submission: invalid view in the ack: {'; '.join(map(str, problems))}"
            )
            view.trouble = TROUBLE
        elif push:
            self.workspace.open_view(self.user.id, answer["view"], push=True)
        else:
            self.workspace.update_view(view, answer["view"])


def may_write(manifest: JSON, channel: Channel) -> bool:
    """Return whether a client has a message box in this channel.

    The app's direct messages have none if the manifest turns them off, or makes them read-only.
    """
    if not channel.im_with:
        return not channel.is_archived
    tab = manifest.get("features", {}).get("app_home", {})
    return bool(tab.get("messages_tab_enabled", True)) and not tab.get(
        "messages_tab_read_only_enabled", False
    )


async def wait_for(
    workspace: SlackWorkspace, predicate: Callable[[], T | None], timeout: float = 30.0
) -> T:
    """Check at every change of the workspace until the predicate returns something true."""
    news = asyncio.Event()
    stop = workspace.watch(news.set)
    try:
        async with asyncio.timeout(timeout):
            while not (result := predicate()):
                await news.wait()
                news.clear()
    finally:
        stop()
    return result
