"""The tape: instructions in the order in which they run."""
