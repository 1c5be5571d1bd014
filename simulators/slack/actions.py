"""Actions that the page or a test harness sends as JSON, done by a user."""

from simulators.slack.elements import NotPossible
from simulators.slack.fake_slack import FakeSlack
from simulators.slack.model import JSON, Message, SlackError, View
from simulators.slack.user import SimulatedUser


async def do_action(slack: FakeSlack, order: JSON) -> JSON:
    """Do one action as one user; what a Slack client would refuse comes back as `error`."""
    try:
        human = slack.user(str(order.get("as")))
        await _ACTS[str(order.get("kind"))](slack, human, order)
    except (NotPossible, SlackError) as refused:
        return {"ok": False, "error": str(refused)}
    except KeyError as missing:
        return {"ok": False, "error": f"unknown: {missing}"}
    return {"ok": True}


def where(slack: FakeSlack, order: JSON) -> Message | View | str:
    """Return the message or view that the action is about."""
    place = str(order["where"])
    return slack.workspace.view(place) if place.startswith("V") else place


async def _say(_slack: FakeSlack, human: SimulatedUser, order: JSON) -> None:
    await human.type_text(str(order["channel"]), str(order["text"]), order.get("thread_ts"))


async def _mention(_slack: FakeSlack, human: SimulatedUser, order: JSON) -> None:
    await human.mention_bot(str(order["channel"]), str(order["text"]), order.get("thread_ts"))


async def _press(slack: FakeSlack, human: SimulatedUser, order: JSON) -> None:
    await human.press(
        where(slack, order), str(order["action_id"]), block_id=str(order.get("block_id", ""))
    )


async def _select(slack: FakeSlack, human: SimulatedUser, order: JSON) -> None:
    await human.select(
        where(slack, order),
        str(order["action_id"]),
        order["answer"],
        block_id=str(order.get("block_id", "")),
    )


async def _overflow(slack: FakeSlack, human: SimulatedUser, order: JSON) -> None:
    await human.overflow(where(slack, order), str(order["answer"]), str(order.get("action_id", "")))


async def _submit(slack: FakeSlack, human: SimulatedUser, order: JSON) -> None:
    await human.fill_and_submit(slack.workspace.view(str(order["where"])), dict(order["answers"]))


async def _close(slack: FakeSlack, human: SimulatedUser, order: JSON) -> None:
    await human.close(
        slack.workspace.view(str(order["where"])), everything=bool(order.get("everything"))
    )


async def _home(_slack: FakeSlack, human: SimulatedUser, _asked: JSON) -> None:
    await human.open_home()


async def _acting_as(slack: FakeSlack, human: SimulatedUser, _asked: JSON) -> None:
    slack.workspace.record_action(human.user.id, "acting_as", human.user.name)


_ACTS = {
    "say": _say,
    "mention": _mention,
    "press": _press,
    "select": _select,
    "overflow": _overflow,
    "submit": _submit,
    "close": _close,
    "home": _home,
    "acting_as": _acting_as,
}
