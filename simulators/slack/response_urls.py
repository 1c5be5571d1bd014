"""Answers through a response url, or in the ack of a slash command."""

from simulators.slack.blockkit import check_blocks
from simulators.slack.journal import WireLog
from simulators.slack.model import JSON, Message, ResponseUrl, SlackError
from simulators.slack.workspace import SlackWorkspace


class Responses:
    """The five answers that an interaction may get within half an hour."""

    def __init__(self, workspace: SlackWorkspace, journal: WireLog) -> None:
        self.workspace = workspace
        self.journal = journal

    def handle(self, token: str, body: JSON) -> tuple[int, str]:
        """Answer a POST to a response url: status and text."""
        token = token.rsplit("/", 1)[-1]
        try:
            url = self.workspace.redeem_response_url(token)
            self.say(url, body)
        except SlackError as refused:
            self.journal.complain(
                f"response url: {refused.code} {refused.extra.get('errors', '')}".strip()
            )
            self.journal.write("respond", token, ok=False, note=refused.code, sent=body)
            return (404 if refused.code.endswith("_url") else 400), refused.code
        self.journal.write("respond", token, sent=body)
        return 200, "ok"

    def say(self, url: ResponseUrl, body: JSON) -> Message | None:
        """Show the app's answer to an interaction."""
        channel, text, blocks = (
            self.workspace.channel(url.channel),
            str(body.get("text") or ""),
            body.get("blocks"),
        )
        original = channel.messages.get(url.message or "")
        if body.get("delete_original"):
            if original:
                self.workspace.delete(original)
            return None
        self._check(text, blocks)
        if body.get("replace_original") and original:
            self.workspace.edit(original, text, blocks or [])
            return original
        thread = body.get("thread_ts") or None
        reader = None
        if body.get("response_type", "ephemeral") != "in_channel":
            reader = url.user
        bot = self.workspace.bot.id
        return self.workspace.post(
            channel, bot, text, blocks, ephemeral_to=reader, thread_ts=thread
        )

    def _check(self, text: str, blocks: object) -> None:
        if not text and not blocks:
            raise SlackError("no_text")
        if not text.strip():
            self.journal.complain(
                "response without text: notifications and screen readers have nothing to say"
            )
        problems = check_blocks(blocks) if blocks else []
        if problems:
            raise SlackError("invalid_blocks", errors=[str(problem) for problem in problems])
