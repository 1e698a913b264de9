"""Cross-architecture studies of distilled datasets.

`search_spaces` declares studies, `platform` drives them, `trainables` trains each run.
"""
