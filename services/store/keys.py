"""Every key of the state store, with what is stored under it. Pure.

Each docstring describes the value. A key keeps its name for as long as state written under it may
be read; docs/how-to/state.md describes copies of the state.
"""

# Prefix of the ids of requests for later, which have keys of their own.
LATER = "at."
# Prefix of the ids of requests that are parts of a batch, which have keys of their own too.
BATCH_PART = "in."
# Prefix of the ids of batches.
BATCH = "batch."

# What keys begin with, where all keys of a kind are listed
REQUESTS = "request:"
REQUESTS_FOR_LATER = "later:"
REQUESTS_OF_BATCHES = "part:"
DRAINS = "drain:"
LEASES = "lease:"
HOST_KEYS = "hostkey:"

# The state itself

# Identity, schema and version of the state, and which bots use it.
STATE = "state"

# Accounts

# What each DigitalOcean account does where the documents leave it open, as it was seen.
ACCOUNT_FACTS = "account-facts"

# A cluster


def identity_key(cluster: str) -> str:
    """Which cluster this name means, by properties that never change."""
    return f"identity:{cluster}"


def claim_key(cluster: str) -> str:
    """The id of the run that has locked the cluster.

    It does not expire: a forgotten run is worse than a cluster that stays locked.
    """
    return f"claim:{cluster}"


def schedule_key(cluster: str) -> str:
    """Its schedule document: off-hours windows, exceptions, and notifications sent and to send."""
    return f"hours:{cluster}"


def number_key(cluster: str) -> str:
    """The number of its newest run."""
    return f"number:{cluster}"


def runs_log_key(cluster: str) -> str:
    """The log of its runs' ids."""
    return f"runs:{cluster}"


def usage_log_key(cluster: str) -> str:
    """The log of what its media nodes were billed for, and who kept them running."""
    return f"usage:{cluster}"


def meetings_key(cluster: str) -> str:
    """How many people were in meetings, by hour, of the last weeks; bounded by itself."""
    return f"meetings:{cluster}"


def quarters_key(cluster: str) -> str:
    """How many people and meetings there were, by quarter of an hour, of the last weeks."""
    return f"quarters:{cluster}"


def scaling_key(cluster: str) -> str:
    """The standing permission to scale by the forecast, and what was done under it."""
    return f"scaling:{cluster}"


def promises_log_key(cluster: str) -> str:
    """The log of what promises are measured by beside runs: missed times, questions, service."""
    return f"promises:{cluster}"


def service_key(cluster: str) -> str:
    """Whether it was in service when it was observed last, and since when."""
    return f"service:{cluster}"


def observed_key(cluster: str) -> str:
    """What a bot that only observes would have done; of the last 60 days."""
    return f"observed:{cluster}"


def media_key(cluster: str) -> str:
    """The number or the ids of its media nodes before the last shutdown."""
    return f"media:{cluster}"


def fleet_key(cluster: str) -> str:
    """Its fleet type (pool, autoscaler, fixed nodes) when last seen."""
    return f"kind:{cluster}"


def pause_key(cluster: str) -> str:
    """The run that paused its autoscaler, and since when."""
    return f"pause:{cluster}"


def stopped_key(cluster: str) -> str:
    """The nodes on which people stopped OpenVidu: by whom, since when, by which run."""
    return f"stopped:{cluster}"


def closings_key(cluster: str) -> str:
    """The results of earlier closings by its off-hours windows."""
    return f"evenings:{cluster}"


def backups_key(cluster: str) -> str:
    """What is kept of its backups: counts, results of drills, which are protected."""
    return f"backups:{cluster}"


def waste_key(cluster: str) -> str:
    """What is kept of its unused resources: since when, and which people keep."""
    return f"waste:{cluster}"


def terraform_key(cluster: str) -> str:
    """Its pull requests of Terraform variables, and which differences were reported."""
    return f"terraform:{cluster}"


def policy_key(cluster: str) -> str:
    """The text of its policy as the audit last recorded it."""
    return f"policy:{cluster}"


def escalations_key(cluster: str) -> str:
    """What waits for a person: how often it was repeated, and who took it."""
    return f"escalations:{cluster}"


def zero_refused_key(pool: str) -> str:
    """Present once DigitalOcean has refused 0 for this pool."""
    return f"zero:{pool}"


# Requests


def request_key(request: str) -> str:
    """A request.

    One for later, or a part of a batch, has a key that versions without such requests do not read:
    they would run it at once.
    """
    if request.startswith(LATER):
        return f"{REQUESTS_FOR_LATER}{request}"
    if request.startswith(BATCH_PART):
        return f"{REQUESTS_OF_BATCHES}{request}"
    return f"{REQUESTS}{request}"


def has_own_message(request: str) -> bool:
    """Return whether the message of such a request is not taken over by its run."""
    return request.startswith((LATER, BATCH_PART))


def pending_key(cluster: str, *, later: bool = False) -> str:
    """The list of a cluster's requests that wait for approval; `later`: those for later."""
    return f"pending-later:{cluster}" if later else f"pending:{cluster}"


# Batches: one change of several clusters

# The ids of those that are not over.
BATCHES = "batches"
BATCH_DOCUMENTS = "batch:"
# The ids of those whose message does not show their end yet.
BATCH_CARDS = "batch-cards"


def batch_key(batch: str) -> str:
    """A batch: its clusters, and where each of them stands."""
    return f"{BATCH_DOCUMENTS}{batch}"


# Runs


def run_log_key(run: str) -> str:
    """The log of a run's events."""
    return f"run:{run}"


def lease_key(run: str) -> str:
    """`epoch:worker` of the bot that drives it; expires after 30 s."""
    return f"{LEASES}{run}"


def epoch_key(run: str) -> str:
    """The number of leases so far; a higher epoch fences off lower ones."""
    return f"epoch:{run}"


def watch_key(run: str) -> str:
    """Its clocks: for how long it was really watched. Written with each renewal of its lease."""
    return f"watched:{run}"


def question_key(run: str) -> str:
    """The open question's id; an answer deletes it, so that only one is accepted."""
    return f"question:{run}"


def votes_key(run: str, question: str) -> str:
    """Who wants which answer, where an answer takes several people."""
    return f"votes:{run}:{question}"


def halt_key(run: str) -> str:
    """Present while a run is stopped; Resume or Abandon deletes it, so that one is accepted."""
    return f"halt:{run}"


def commands_key(run: str) -> str:
    """Changes with every command about a run, so that its end is not written past one."""
    return f"said:{run}"


def sealed_key(run: str) -> str:
    """The head of the audit that its end was sealed with."""
    return f"sealed:{run}"


def drain_key(droplet: int, start: str) -> str:
    """Present once this start of a media server was signalled to drain."""
    return f"{DRAINS}{droplet}:{start}"


def told_key(cluster: str, occasion: str) -> str:
    """The rooms that were notified of this occasion, with the result. Expires after a week."""
    return f"told:{cluster}:{occasion}"


# The audit of a cluster


def audit_log_key(cluster: str) -> str:
    """The log of its decisions."""
    return f"audit:{cluster}"


def head_key(cluster: str) -> str:
    """Number and hash of the newest entry.

    Checked and replaced with each entry, so that the chain has no forks.
    """
    return f"audit-head:{cluster}"


def audit_checkpoint_key(cluster: str) -> str:
    """The checkpoint that a shortened chain starts from: the last entry that was removed."""
    return f"audit-cut:{cluster}"


def audit_anchored_key(cluster: str) -> str:
    """The head last written to the bucket."""
    return f"audit-kept:{cluster}"


def audit_posted_key(cluster: str) -> str:
    """The head last posted in the channel."""
    return f"audit-told:{cluster}"


def audit_lost_key(cluster: str) -> str:
    """Present once it was reported that the bucket knows of more entries than the state."""
    return f"audit-lost:{cluster}"


# Retention


def held_back_key(cluster: str) -> str:
    """The run from which on nothing is removed yet."""
    return f"held-back:{cluster}"


def log_cut_key(log: str) -> str:
    """Changes with each cut of a log, so that two bots do not cut it at once."""
    return f"cut:{log}"


# Slack

# The log of commands and button presses that were accepted.
INBOX_LOG = "intake"
# How many entries of that log are answered.
INBOX_SEEN = "intake:seen"
# The messages that are kept up to date.
CARDS = "cards"
# Users who have the Home tab open.
HOME_VIEWERS = "homes"
# How people want to be notified, by member id.
NOTIFICATIONS = "notifications"
# Channels that the bot cannot post in.
CLOSED_CHANNELS = "doors"


def card_key(name: str) -> str:
    """Where the message of a request or run is, and what it was last updated with."""
    return f"card:{name}"


def copies_key(name: str) -> str:
    """The copies of that message in direct messages."""
    return f"copies:{name}"


def held_key(command: str) -> str:
    """Present while a bot works on this command."""
    return f"hand:{command}"


def sure_key(command: str) -> str:
    """Present once a bot began to work on this command: if it died, it may have done it."""
    return f"sure:{command}"


def dry_run_key(name: str) -> str:
    """The command that the button below a dry run requests. Expires after an hour."""
    return f"dry-run:{name}"


def answered_key(command: str) -> str:
    """Present once the command was answered."""
    return f"answered:{command}"


def members_key(group: str) -> str:
    """The members of a user group, as last read from Slack."""
    return f"members:{group}"


# Several bots


def bot_slot_key(number: int) -> str:
    """The bot that has this slot among those that share the state; expires with its leases."""
    return f"bot:{number}"


def shard_key(number: int) -> str:
    """The bot that drives the clusters of this shard; expires with its leases."""
    return f"shard:{number}"


# Nodes


def host_key_key(droplet: str | int) -> str:
    """The SSH host key that a droplet showed first."""
    return f"{HOST_KEYS}{droplet}"


def host_key_used_key(droplet: str | int) -> str:
    """When that key was last compared."""
    return f"hostkey-used:{droplet}"


# What is done once, however many bots there are (`first_time` in store/once.py)


def once_key(name: str) -> str:
    """Present for as long as `name` counts as done already; `name` as one of those below."""
    return f"seen:{name}"


RETENTION_ONCE = "retention"


def trigger_once(trigger: str) -> str:
    """A command, press or form, by Slack's trigger id: Slack delivers some twice."""
    return f"trigger:{trigger}"


def event_once(event: str) -> str:
    """An event of Slack's, by its id."""
    return f"event:{event}"


def signature_once(digest: str) -> str:
    """A signed HTTP request, by the digest of its signature."""
    return f"signature:{digest}"


def group_once(group: str) -> str:
    """One bot's turn to read a user group."""
    return f"group:{group}"


def announcement_once(cluster: str, announcement: str) -> str:
    """Posting an announcement."""
    return f"telling:{cluster}:{announcement}"


def posted_head_once(cluster: str, number: int | None) -> str:
    """Posting a head of the audit."""
    return f"head:{cluster}:{number}"


def closed_channel_once(channel: str, since: float, user: str) -> str:
    """Telling a user that a channel is closed to the bot, since that moment."""
    return f"door:{channel}:{since:.0f}:{user}"


def alarm_once(part: str, cluster: str) -> str:
    """Reporting that a part of the bot fails."""
    return f"alarm:{part}:{cluster}"


def rejected_once(request: str) -> str:
    """Notifying the requester of a request that was rejected or has expired."""
    return f"rejected:{request}"


def run_news_once(run: str, events: int) -> str:
    """Showing news of a run that another process drives, by the number of its events."""
    return f"owed:{run}:{events}"


def request_once(request: str) -> str:
    """Posting the message of a request that has none."""
    return f"owed:{request}"


def unshown_request_once(request: str) -> str:
    """Handing a request that has no message to one bot's reporter."""
    return f"card of {request}"


def posted_once(message: str) -> str:
    """Having posted a message that must not come twice, by its mark."""
    return f"posted:{message}"


def posting_once(message: str) -> str:
    """One bot's turn to post that message."""
    return f"posting:{message}"


def begun_once(message: str) -> str:
    """Having begun to post that message: from then on a bot looks before it posts."""
    return f"begun:{message}"
