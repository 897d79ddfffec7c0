"""The kinds of files that a shop may give: each module reads one kind as Arrow record batches."""
