"""Which arm a shopper is in, and what was shown with which chance."""
