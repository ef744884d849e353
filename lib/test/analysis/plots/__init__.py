"""Figures of the paper, one per module: functions from data to a matplotlib Figure."""
