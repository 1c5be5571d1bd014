"""Commands from a terminal of this machine: through a running bot, or without one."""
