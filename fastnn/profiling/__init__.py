"""Measure what a penalty costs in an epoch, and where an epoch's time goes, on this machine."""

from fastnn.profiling.measure import profile
from fastnn.profiling.result import Floor, PenaltyProfile, Profile, Way

__all__ = ["Floor", "PenaltyProfile", "Profile", "Way", "profile"]
