"""files.*: the three steps of an upload."""

from simulators.slack.methods_chat import may_write, thread
from simulators.slack.model import JSON, File, SlackError
from simulators.slack.request import MethodRequest


def get_upload_url(call: MethodRequest) -> JSON:
    """files.getUploadURLExternal."""
    name, length = str(call.need("filename")), int(call.need("length"))
    call.get("snippet_type")
    alt = str(call.get("alt_txt") or "")
    file = File(f"F{call.workspace.number():08d}", name, length, alt=alt)
    call.workspace.files[file.id] = file
    return {"upload_url": f"{call.workspace.base_url}/upload/{file.id}", "file_id": file.id}


def complete_upload(call: MethodRequest) -> JSON:
    """files.completeUploadExternal."""
    files = [_uploaded(call, one) for one in call.need("files")]
    target = str(call.get("channel_id") or call.get("channels") or "")
    comment, blocks = str(call.get("initial_comment") or ""), call.blocks()
    if target:
        channel = call.workspace.channel(target)
        may_write(call, channel)
        where = thread(call, channel)
        call.workspace.post(
            channel,
            call.workspace.bot.id,
            comment,
            blocks,
            thread_ts=where,
            files=[file.id for file in files],
        )
        for file in files:
            file.shared = True
    return {"files": [{"id": file.id, "title": file.title, "name": file.name} for file in files]}


def _uploaded(call: MethodRequest, one: JSON) -> File:
    file = call.workspace.files.get(str(one.get("id")))
    if file is None or file.data is None:
        raise SlackError("file_not_found")
    file.title = str(one.get("title") or file.name)
    return file
