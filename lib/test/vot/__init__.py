"""VOT: a trax session around a tracker, masks, and workspaces for the toolkit."""
