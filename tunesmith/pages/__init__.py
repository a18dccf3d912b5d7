"""Pages for one person on one machine: on the loopback alone, and only for who has the link."""
