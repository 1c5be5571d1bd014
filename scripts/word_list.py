"""The words that are not written, and what to write instead.

`scripts.english` holds docstrings and comments to them, `scripts.words` what people read.
"""

# Not written anywhere.
EVERYWHERE = (
    (r"(some|no|any|every)body", "the role: requester, approver, operator; else someone, no one"),
    (r"who(m)?ever", "the role, or `any user who`"),
    (r"let(s|ting)? (\w+ )?go", "drain, close, release"),
    (r"let(s|ting)? (their |its |the )?meetings? (end|finish)", "drain"),
    (r"mend(s|ed|ing)?", "fix"),
    (r"told", "the verb that is meant: reported, logged, configured, distinguished"),
    (r"tells? (of|from|apart)", "report, distinguish"),
    (r"says so", "reports it"),
    (r"cut(s|ting)? off", "disconnected, truncated"),
    (r"(thrown?|throws|threw) out", "disconnected, removed"),
    (r"gone", "deleted, removed, closed"),
    (r"(is|are|was|were) no more", "is deleted, has ended"),
    (r"(is|are|was|were|be|stays?) so(?=[.,;:)]|$)", "name the state: is in service, is down"),
    (r"(an)?other('s)? hands?(?<!on the other hand)", "an external change, another process"),
    (r"the hands", "write operations"),
    (r"(the|a|no) way back", "undo, reversible"),
    (r"(lies|stands?|stood) there", "the content, the current value"),
    (r"deeds?", "audit record, action"),
    (r"wish(es|ed)?", "request, override"),
    (r"nudg(e|es|ed|ing)", "retry"),
    (r"ask(s|ed|ing)? (it |them )?again", "retry"),
    (r"(see|seeing) that (?=(a|all|every|it|no|nothing|the)\b)", "verify that"),
    (r"(taken?|takes|taking) (it |that )?back", "undone, reversible"),
    (r"needs? to be there", "required"),
    (r"may be left out", "optional"),
    (r"the bot's memory", "the state store"),
    (r"patience(?! sorting)", "timeout"),
    (r"claimed by|has a claim", "locked by"),
)

# Not written in docstrings and comments.
IN_CODE = (
    (
        r"(is|are|was|were|be|been|being|what (the )?\w+) said",
        "the thing that is meant: the command, the answer, the text",
    ),
    (r"books?", "schedule, schedule document"),
)

# Not written where people read it.
SHOWN = (
    (r"serv(es?|ing)", "in service, out of service"),
    (
        r"(is|are|was|were|be|been|go|goes|went|stays?|masters? [\d, and-]+) off",
        "powered off (a droplet), paused, disabled",
    ),
    (r"asked (for|by)", "requested by"),
    (r"claim(s|ed)?", "lock, locked by"),
    (r"cannot be told", "unknown"),
    (r"(an?|the|next|until the next) edge", "closes, opens, schedule"),
    (r"(the|an?|in the|its|off-hours) book", "schedule"),
    (r"let(s|ting)? .{0,40}\bfinish", "drain; meetings finish first"),
    (r"let(s|ting)? .{0,30}\bend", "drain; meetings finish first"),
    (r"keyboards?", "terminal, SSH"),
    (r"by hand", "manually"),
    (r"hands?(?! over)(?!ed)", "who or what acts"),
    (r"as (it|things) stands?|stands? (at|as|like)", "the current state"),
    (r"stays? done", "name what was changed"),
    (r"(go|goes|going|went) on(?! (?:hold|strike))", "continue"),
    (r"(an?|one|second|first|last|next|every|each|this) look|looks? again", "check, observation"),
    (r"anew", "again, for a new start"),
    (r"see that", "verify that"),
    (r"asks? you", "I ask what to do"),
    (r"begun", "started"),
    (r"(operators|people|someone|you) may (press|answer)", "who can press what"),
    (r"please", "nothing"),
    (r"comes? (of|from) (it|itself)", "the result"),
    (r"of (its|his|her|their) own accord", "by itself"),
    (r"whatever", "name what is meant"),
    (r"bring(s|ing)? (\w+ )?back|brought (\w+ )?back", "restore service, start up"),
    (r"looked (at|for|after)", "checked, observed"),
)
