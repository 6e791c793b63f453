"""The values every room speaks: frozen, and importing nothing of ours."""
