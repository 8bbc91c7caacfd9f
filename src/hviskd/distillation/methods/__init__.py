"""One module a method: its options, its adapters and memories, and its loss; `registry` names them."""
