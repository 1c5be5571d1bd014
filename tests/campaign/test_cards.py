"""What messages say of people who lose their meeting.

Today's words, future ones, and similar ones that do not.
"""

import pytest

from tests.campaign.cards import Named, agrees, named

NOBODY = Named()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            (
                "*What people will notice* 3 meetings, 14 people, 1 recording now. "
                "*They are cut off: "
                "running meetings are ended.*"
            ),
            Named(14, 1),
        ),
        (
            (
                "3 meetings, 14 people, 1 recording now. Everyone in them is disconnected. Running "
                "recordings are lost."
            ),
            Named(14, 1),
        ),
        ("⚠ *Ends 3 running meetings: 14 people, 1 recording*", Named(14, 1)),
        ("Ends 1 running meeting: 1 person", Named(1, 0)),
        (
            (
                "removes 2 media nodes without draining "
                "(media-1: 1 meeting, 4 people; "
                "media-2: 2 meetings, 6 people, 1 recording)"
            ),
            Named(10, 1),
        ),
        (
            (
                "End these meetings: ends immediately what runs on media-2: 1 meeting, 2 "
                "people, 1 recording."
            ),
            Named(2, 1),
        ),
        (
            (
                "3 meetings, 14 people now. They are cut off.\n"
                "removes 1 media node without draining (media-1: 4 people)"
            ),
            Named(14),
        ),
        (
            (
                "3 meetings, 14 people, 1 recording now. Nobody is cut off: running meetings may "
                "finish."
            ),
            NOBODY,
        ),
        (
            (
                "*Impact:* 3 meetings running (14 people, 1 recording). They can finish; no one is "
                "disconnected."
            ),
            NOBODY,
        ),
        (
            "Meetings now 3 (14 people, 1 recording)\nDisconnected no one; meetings finish first",
            NOBODY,
        ),
        (
            (
                "Still running: media-1: 2 meetings, 14 people. No one is disconnected unless you "
                "choose it."
            ),
            NOBODY,
        ),
        (
            "Still running: media-1: 2 meetings, 14 people. Nothing is cut off unless you say so.",
            NOBODY,
        ),
        (
            "They are cut off. The number of running meetings is unknown "
            "(LiveKit does not answer).",
            Named(unknown=True),
        ),
        (
            "Everyone who is in a meeting is disconnected. How many meetings run is unknown.",
            Named(unknown=True),
        ),
        (
            "ends immediately what runs on media-1: 1 meeting, 3 people; media-2: not "
            "seen (the key "
            "was refused), number of people unknown",
            Named(3, unknown=True),
        ),
        (
            (
                "Still running: media-2: not seen, number of people unknown. No one is "
                "disconnected unless you choose it."
            ),
            NOBODY,
        ),
        ("14 people, 2 recordings in the other cluster. Ends no meeting.", NOBODY),
        ("Meetings go on. 2 agents do not hear the signal: captions end.", Named(agents=True)),
        ("", NOBODY),
    ],
)
def test_who_is_named(text: str, said: Named) -> None:
    assert named(text) == said


@pytest.mark.parametrize(
    ("label", "confirm", "does"),
    [
        ("Approve", "", True),
        ("Approve shutdown", "", True),
        ("Confirm", "", True),
        ("End these meetings", "", True),
        ("Delete them now", "ends immediately what runs on media-1", True),
        ("Resume run", "Ends 3 running meetings: 14 people", True),
        ("Resume run", "", False),
        ("Reject…", "", False),
        ("Details", "", False),
        ("Wait 30 min more", "", False),
        ("Stop here", "", False),
        ("Continue from new state", "", False),
        ("Keep acme in service", "Running meetings are never ended.", False),
        ("Cancel run…", "Nothing was changed on acme yet.", False),
    ],
)
def test_what_a_press_agrees_to(label: str, confirm: str, *, does: bool) -> None:
    assert agrees(label, confirm) is does
