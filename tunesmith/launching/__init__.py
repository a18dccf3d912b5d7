"""A run as a job of a cluster: started on every machine, and again after a stop."""
