"""views.*: modals and the App Home."""

import json

from simulators.slack.blockkit import VIEW_BYTES, check_blocks, check_view
from simulators.slack.model import JSON, SlackError, View
from simulators.slack.request import MethodRequest, refuse


def open_view(call: MethodRequest) -> JSON:
    """views.open."""
    body = the_view(call, "modal")
    return _shown(call, call.workspace.open_view(_whose(call), body))


def push_view(call: MethodRequest) -> JSON:
    """views.push."""
    body = the_view(call, "modal")
    return _shown(call, call.workspace.open_view(_whose(call), body, push=True))


def update_view(call: MethodRequest) -> JSON:
    """views.update."""
    body = the_view(call, "")
    view = call.workspace.view(str(call.get("view_id", "")), str(call.get("external_id", "")))
    if body["type"] != view.body["type"]:
        raise SlackError(
            "invalid_arguments", ["[ERROR] view type cannot be changed [json-pointer:/view/type]"]
        )
    return _shown(call, call.workspace.update_view(view, body, str(call.get("hash", ""))))


def publish(call: MethodRequest) -> JSON:
    """views.publish."""
    if not call.manifest.get("features", {}).get("app_home", {}).get("home_tab_enabled"):
        raise SlackError("not_enabled")
    user = call.workspace.users.get(str(call.need("user_id")))
    if user is None or user.deleted:
        raise SlackError("invalid_arguments", ["[ERROR] invalid user_id [json-pointer:/user_id]"])
    body = the_view(call, "home")
    return _shown(call, call.workspace.publish_home(user.id, body, str(call.get("hash", ""))))


def validate(call: MethodRequest) -> JSON:
    """blocks.validate: the validator itself, open to the app."""
    view, blocks, message = call.get("view"), call.get("blocks"), call.get("message")
    if view is None and blocks is None and message is None:
        raise SlackError("invalid_arguments")
    if view is not None:
        problems = check_view(view)
    elif message is not None:
        problems = check_blocks(message.get("blocks", []))
    else:
        problems = check_blocks(blocks)
    if problems:
        errors = [
            {"code": "invalid", "message": one.message, "pointer": one.pointer} for one in problems
        ]
        raise SlackError("invalid_blocks", errors=errors)
    return {}


def the_view(call: MethodRequest, kind: str) -> JSON:
    """Return the view of the call, or refuse an invalid one."""
    view = call.need("view")
    if isinstance(view, dict) and kind and view.get("type") != kind:
        raise SlackError("invalid_arguments", [f"[ERROR] must be {kind} [json-pointer:/view/type]"])
    refuse(check_view(view), "invalid_arguments")
    if len(json.dumps(view)) > VIEW_BYTES:
        raise SlackError("view_too_large")
    body: JSON = view
    external_id = body.get("external_id")
    others = [
        other
        for stack in call.workspace.views.values()
        for other in stack
        if other.id != call.get("view_id")
    ]
    if (
        external_id
        and any(other.body.get("external_id") == external_id for other in others)
        and not call.get("external_id")
    ):
        raise SlackError("duplicate_external_id")
    return body


def _whose(call: MethodRequest) -> str:
    try:
        return call.workspace.redeem_trigger(str(call.need("trigger_id")))
    except SlackError as refused:
        call.complain(f"trigger used wrongly: {refused.code}")
        raise


def _shown(call: MethodRequest, view: View) -> JSON:
    return {"view": call.workspace.view_json(view)}
