"""Level 0: what every other part of kshot may lean on, and which leans on nothing of kshot itself."""
