"""immpd: server, client and tools for IMMP, the Internet Mail and Messaging Protocol.

docs/protocol.md is the protocol; CONTRIBUTING.md is the map of this package.
"""

__version__ = "0.1.0"
