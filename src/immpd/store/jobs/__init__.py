"""What the store keeps for jobs: who does which at present, and when the next round of some begins."""
