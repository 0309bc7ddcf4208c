"""What can happen: the event types, their canonical text, and the upcasting of old ones. All pure."""
