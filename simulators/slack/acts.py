"""Actions that the page or a test harness sends as JSON, done by a user."""

from simulators.slack.elements import NotPossible
from simulators.slack.human import Human
from simulators.slack.model import JSON, Message, SlackError, View
from simulators.slack.pretend import PretendSlack


async def act(slack: PretendSlack, order: JSON) -> JSON:
    """Do one action as one user; what a Slack client would refuse comes back as `error`."""
    try:
        human = slack.human(str(order.get("as")))
        await _ACTS[str(order.get("kind"))](slack, human, order)
    except (NotPossible, SlackError) as refused:
        return {"ok": False, "error": str(refused)}
    except KeyError as missing:
        return {"ok": False, "error": f"unknown: {missing}"}
    return {"ok": True}


def where(slack: PretendSlack, order: JSON) -> Message | View | str:
    """Return the message or view that the action is about."""
    place = str(order["where"])
    return slack.workspace.view(place) if place.startswith("V") else place


async def _say(_slack: PretendSlack, human: Human, order: JSON) -> None:
    await human.types(str(order["channel"]), str(order["text"]), order.get("thread_ts"))


async def _mention(_slack: PretendSlack, human: Human, order: JSON) -> None:
    await human.mentions(str(order["channel"]), str(order["text"]), order.get("thread_ts"))


async def _press(slack: PretendSlack, human: Human, order: JSON) -> None:
    await human.presses(
        where(slack, order), str(order["action_id"]), block_id=str(order.get("block_id", ""))
    )


async def _select(slack: PretendSlack, human: Human, order: JSON) -> None:
    await human.selects(
        where(slack, order),
        str(order["action_id"]),
        order["answer"],
        block_id=str(order.get("block_id", "")),
    )


async def _overflow(slack: PretendSlack, human: Human, order: JSON) -> None:
    await human.overflow(where(slack, order), str(order["answer"]), str(order.get("action_id", "")))


async def _submit(slack: PretendSlack, human: Human, order: JSON) -> None:
    await human.fills_and_submits(slack.workspace.view(str(order["where"])), dict(order["answers"]))


async def _close(slack: PretendSlack, human: Human, order: JSON) -> None:
    await human.closes(
        slack.workspace.view(str(order["where"])), everything=bool(order.get("everything"))
    )


async def _home(_slack: PretendSlack, human: Human, _asked: JSON) -> None:
    await human.opens_home()


async def _acting_as(slack: PretendSlack, human: Human, _asked: JSON) -> None:
    slack.workspace.did(human.user.id, "acting_as", human.user.name)


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
