"""The process of `tests.support.moto`; importing moto is left to it.

It writes its port and its keys as a line of JSON, and ends when its input is closed.
"""

import json
import sys

from moto import settings
from moto.iam.models import iam_backends
from moto.server import ThreadedMotoServer

ACCOUNT, POLICY = "123456789012", "everything-of-s3"


def main() -> None:
    """Serve until the input is closed."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    iam = iam_backends[ACCOUNT]["aws"]
    keys = {}
    for name in ("key", "ungranted"):
        iam.create_user("aws", user_name=name)
        made = iam.create_access_key(user_name=name)
        keys[name] = (made.access_key_id, made.secret_access_key)
    statement = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    iam.put_user_policy("key", POLICY, json.dumps(policy))
    # From here on, every request has to be signed.
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    sys.stdout.write(json.dumps({"port": server.get_host_and_port()[1], **keys}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
