"""The figures of the product, measured on this machine and printed side by side: `make bench`."""
