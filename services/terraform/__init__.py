"""The vendor's Terraform variables: read from a tfvars file, compared with a cluster, patched."""
