"""Who may do what, in which cluster."""
