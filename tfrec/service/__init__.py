"""The online recommendation service: what shoppers do, and what is known of them now."""
