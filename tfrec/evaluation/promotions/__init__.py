"""Campaigns and their coupons: who got them, and what was bought before and during."""
