"""A folder of HTML pages that shows where trackers fail; it opens from the disk, without a network."""
