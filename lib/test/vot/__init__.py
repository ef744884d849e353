"""VOT support: a trax session around a tracker, masks, and workspaces for the VOT toolkit."""
