"""One real bot for a while, under the load of ordinary days: it weighs at the end what it weighed at the beginning."""
