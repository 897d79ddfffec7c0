"""What logs tell: what shoppers did, how arms differ, what another policy would be worth."""
