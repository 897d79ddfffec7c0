"""Finding items by what a shopper writes."""
