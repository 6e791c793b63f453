"""Internet mail in and out of our model: RFC 5322 and MIME to values and back, never a socket and never the store."""
