"""Who may do what, in which cluster: policy, user groups, and the managed clusters."""
