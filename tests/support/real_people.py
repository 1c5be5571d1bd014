"""What people do in a world on real sockets: they wait, and try again when nothing comes of it."""

import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

from bot.demo.world import OPS, DemoWorld
from simulators.slack.elements import NotPossible
from simulators.slack.model import Message
from simulators.slack.user import SimulatedUser
from tests.support.patience import HANG


async def sees(human: SimulatedUser, text: str) -> Message:
    try:
        return await human.wait_for_message(OPS, text, HANG)
    except TimeoutError:
        shown = "\n".join(m.text for m in human.visible_messages(OPS))
        raise AssertionError(f"no message has {text!r}; what was said:\n{shown}") from None


async def until_seen(
    human: SimulatedUser, text: str, act: Callable[[], Awaitable[object]], tries: int = 200
) -> Message:
    """People type and press again when nothing comes of it: the bot may have been dead."""
    for _ in range(tries):
        with contextlib.suppress(NotPossible):
            await act()
        with contextlib.suppress(TimeoutError):
            return await human.wait_for_message(OPS, text, 3.0)
    raise AssertionError(f"no message: {text!r}: {[m.text for m in human.visible_messages(OPS)]}")


async def shut_down_media(world: DemoWorld, *also: tuple[str, str]) -> None:
    """Ana asks for the status, requests, and Ben approves; a run begins.

    `also` are further commands of hers, and what they show.
    """
    ana, ben = world.slack.human("UANA"), world.slack.human("UBEN")
    request = ("/openvidu shutdown --media-only", "Approve")
    for words, text in (("/openvidu status", "Cost now"), *also, request):
        await until_seen(ana, text, partial(ana.type_text, OPS, words))
    card = await sees(ana, "Approve")
    await until_seen(ben, "acme-1", lambda: ben.press(card, "Approve"))
    await sees(ana, "acme-1")
