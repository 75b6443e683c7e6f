"""Computing: read, enhance, tile, infer, decode, measure, render; training; and the supervised worker process."""
