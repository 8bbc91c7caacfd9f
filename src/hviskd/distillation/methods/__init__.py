"""One module per method: its options, its adapters and memories, and its loss; `registry` lists them."""
