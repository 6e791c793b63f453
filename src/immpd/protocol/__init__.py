"""The language of IMMP, sans-IO: no socket, no clock, no storage.

Imports the standard library, msgspec and ``immpd.model`` only (tests/architecture keeps that).
"""
