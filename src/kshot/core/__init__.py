"""Level 0: what every other part of kshot leans on; it leans on nothing of kshot itself."""
