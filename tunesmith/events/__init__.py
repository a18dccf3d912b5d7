"""What happens, as typed events that anybody can listen to."""
