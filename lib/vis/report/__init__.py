"""Report of HTML pages that show where trackers fail; it opens from disk and needs no network."""
