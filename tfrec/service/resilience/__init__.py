"""What keeps the service answering when a part of it is slow or away."""
