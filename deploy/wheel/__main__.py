"""`python -m openvidu_bot`."""

import sys

from openvidu_bot import main

sys.exit(main())
