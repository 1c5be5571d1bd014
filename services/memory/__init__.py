"""Documents kept in the state store between runs."""
