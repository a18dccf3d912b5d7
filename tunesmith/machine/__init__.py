"""The machine: device, memory, disk, processes, signals."""
