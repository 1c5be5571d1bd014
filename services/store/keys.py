"""Every key of the state store, on one page: what lies there, and of what. Pure.

A name stays as it is for as long as a state that was written under it may be read; `docs/how-to/state.md` tells of copies of the state.
"""

LATER = "at."  # begins the ids of requests for later, which lie under keys of their own

# The state itself

STATE = "state"  # which state it is, by which schema it was written, and who works with it


def once_key(name: str) -> str:
    """There for as long as something counts as done already."""
    return f"seen:{name}"


# A cluster


def identity_key(cluster: str) -> str:
    """Which cluster this name means, by what stays the same however it changes."""
    return f"identity:{cluster}"


def claim_key(cluster: str) -> str:
    """The id of the run that has the cluster. No expiry: a forgotten run is worse than a held cluster."""
    return f"claim:{cluster}"


def book_key(cluster: str) -> str:
    """Its windows, exceptions, and what was told and is to be told of them."""
    return f"hours:{cluster}"


def number_key(cluster: str) -> str:
    """The number of its newest run."""
    return f"number:{cluster}"


def runs_log_key(cluster: str) -> str:
    """The log of its runs' ids."""
    return f"runs:{cluster}"


def usage_log_key(cluster: str) -> str:
    """The log of what its media nodes were billed for, and by whom they were kept up."""
    return f"usage:{cluster}"


def media_key(cluster: str) -> str:
    """How many media nodes it had before the last shutdown, or which."""
    return f"media:{cluster}"


def fleet_key(cluster: str) -> str:
    """What kept its media nodes when that was last seen."""
    return f"kind:{cluster}"


def pause_key(cluster: str) -> str:
    """Since when its autoscaler is paused by a run."""
    return f"pause:{cluster}"


def closings_key(cluster: str) -> str:
    """How its windows' earlier closings went."""
    return f"evenings:{cluster}"


def policy_key(cluster: str) -> str:
    """The words of the policy that the audit knows of."""
    return f"policy:{cluster}"


def escalations_key(cluster: str) -> str:
    """What waits for a person: how often it was repeated, and who saw to it."""
    return f"escalations:{cluster}"


def zero_key(pool: str) -> str:
    """There when DigitalOcean has refused 0 for this pool."""
    return f"zero:{pool}"


# Requests


def request_key(request: str) -> str:
    """A request. One for later under a key that a bot of a version without them does not read: it would run it at once."""
    return f"later:{request}" if request.startswith(LATER) else f"request:{request}"


def pending_key(cluster: str, *, later: bool = False) -> str:
    """The list of a cluster's requests that wait: for people, or for their moment too."""
    return f"pending-later:{cluster}" if later else f"pending:{cluster}"


# Runs


def run_log_key(run: str) -> str:
    """The log of a run's events."""
    return f"run:{run}"


def lease_key(run: str) -> str:
    """`epoch:worker` of the bot that drives it, for 30 s."""
    return f"lease:{run}"


def epoch_key(run: str) -> str:
    """How many leases there were: each is stronger than the ones before."""
    return f"epoch:{run}"


def watch_key(run: str) -> str:
    """Its clocks: for how long it was really watched. Written with each renewal of its lease."""
    return f"watched:{run}"


def question_key(run: str) -> str:
    """The open question's id; an answer deletes it, so that only one is taken."""
    return f"question:{run}"


def votes_key(run: str, question: str) -> str:
    """Who wants which answer, where one takes several people."""
    return f"votes:{run}:{question}"


def halt_key(run: str) -> str:
    """There while a run is stopped; Resume and Abandon delete it, so that only one is taken."""
    return f"halt:{run}"


def said_key(run: str) -> str:
    """Changes with everything that people say about a run, so that its end is not written past it."""
    return f"said:{run}"


def sealed_key(run: str) -> str:
    """The audit's head that its end was sealed with."""
    return f"sealed:{run}"


def drain_key(droplet: int, start: str) -> str:
    """There once this start of a media server was signalled."""
    return f"drain:{droplet}:{start}"


# The audit of a cluster


def audit_log_key(cluster: str) -> str:
    """The log of its decisions."""
    return f"audit:{cluster}"


def head_key(cluster: str) -> str:
    """The newest entry's number and hash. Checked and moved on with each entry, so that the chain has no forks."""
    return f"audit-head:{cluster}"


def cut_key(cluster: str) -> str:
    """The checkpoint that a shortened chain goes on from: the last entry that was removed."""
    return f"audit-cut:{cluster}"


def audit_kept_key(cluster: str) -> str:
    """The head that went into the bucket last."""
    return f"audit-kept:{cluster}"


def audit_told_key(cluster: str) -> str:
    """The head that was told in the channel last."""
    return f"audit-told:{cluster}"


def audit_lost_key(cluster: str) -> str:
    """There once it was told that the bucket knows of more than the state does."""
    return f"audit-lost:{cluster}"


# Retention


def held_back_key(cluster: str) -> str:
    """From which run on nothing is removed yet."""
    return f"held-back:{cluster}"


def log_cut_key(log: str) -> str:
    """Changes with each cut of a log, so that two bots do not cut it at once."""
    return f"cut:{log}"


# Slack

TAKEN = "intake"  # the log of commands and presses that were taken
CARDS = "cards"  # the messages that are kept true
HOMES = "homes"  # who has the Home tab open
CLOSED = "doors"  # channels that are closed to the bot


def card_key(name: str) -> str:
    """Where the message of a request or run stands, and what was told there."""
    return f"card:{name}"


def copies_key(name: str) -> str:
    """Its copies in people's own conversations."""
    return f"copies:{name}"


def held_key(command: str) -> str:
    """There while a bot works on this command."""
    return f"hand:{command}"


def sure_key(command: str) -> str:
    """There once a bot that died over it may have done it."""
    return f"sure:{command}"


def answered_key(command: str) -> str:
    """There once it was answered."""
    return f"answered:{command}"


def members_key(group: str) -> str:
    """The members of a user group, as Slack told last."""
    return f"members:{group}"


# Nodes


def host_key_key(droplet: str | int) -> str:
    """The SSH host key that a droplet showed first."""
    return f"hostkey:{droplet}"


def host_key_used_key(droplet: str | int) -> str:
    """When that key was last compared."""
    return f"hostkey-used:{droplet}"
