"""Whether people can meet on a cluster, in the words of the cards of runs. Pure."""

from services.cluster.service_state import ServiceState
from services.common.text import count_of, plural

STATUS = "`/openvidu status` shows it"


def service_line(cluster: str, state: ServiceState | None, *, hosted: bool = False) -> str:
    """Say whether people can meet, and what keeps them from it, as a sentence.

    `hosted`: meetings run on its only droplet.
    """
    if state is None:
        return f"Whether people can meet on {cluster} was not checked; {STATUS}."
    if state.can_meet is None:
        silent = "the node" if hosted else count_of(state.unseen, "media node")
        return f"Whether people can meet on {cluster} is unknown: {silent} could not be observed."
    if not state.can_meet:
        return f"No new meetings on {cluster}: {_why_none(state, hosted=hosted)}."
    if hosted:
        return f"People can meet on {cluster}."
    serving = f"People can meet on {cluster}: {count_of(state.serving, 'media node')} in service"
    if state.out:
        serving += f", {state.out} draining or drained"
    if state.masters_on < state.masters:
        serving += f"; {_masters_off(state)}"
    return f"{serving}."


def attention(cluster: str, state: ServiceState | None, *, hosted: bool = False) -> str:
    """Return `acme needs you: 3 media nodes take no meetings`; "" where nothing is left undone.

    `hosted`: as for `service_line`. A cluster that is powered off as a whole is in a state that
    people choose.
    """
    if state is None or not state.masters_on:
        return ""
    if state.masters_on < state.masters:
        return f"{cluster} needs you: {_masters_off(state)}"
    if hosted and state.can_meet is False:
        return f"{cluster} needs you: the node takes no meetings"
    if state.out:
        takes = plural(state.out, "takes", "take")
        return f"{cluster} needs you: {count_of(state.out, 'media node')} {takes} no meetings"
    if state.can_meet is False:
        return f"{cluster} needs you: no media node is in service"
    return ""


def _why_none(state: ServiceState, *, hosted: bool) -> str:
    if hosted:
        if not state.masters_on:
            return "the node is powered off"
        return "the node is draining or drained" if state.out else "the node is not in service"
    if not state.masters_on:
        return f"its {plural(state.masters, 'master is', 'masters are')} powered off"
    if state.out:
        return f"{count_of(state.out, 'media node')} draining or drained, none in service"
    return "no media node is in service"


def _masters_off(state: ServiceState) -> str:
    off = state.masters - state.masters_on
    return f"{off} of {count_of(state.masters, 'master')} {plural(off, 'is', 'are')} powered off"
