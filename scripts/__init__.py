"""Programs for this repository: `python -m scripts.NAME`, from its top folder."""
