"""`openvidu-bot probe`: answers what DigitalOcean's documents leave open about an account.

On throw-away resources of its own tag, which are deleted afterwards, also after a crash: the next
probe finds what is left. Says first what it creates and costs, and asks. The answers are printed
and stored, and plans use them.
"""
