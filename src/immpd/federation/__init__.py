"""Other domains: finding them, and what is said to them."""
