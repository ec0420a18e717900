"""The whole system on one machine with only Python: real parts from packages, and their supervisor.

Rule: a part that a setting names (OMS_KAFKA, OMS_POSTGRES, ...) is used, not started.
"""
