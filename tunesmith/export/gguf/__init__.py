"""GGUF, the file of llama.cpp: written here, run by llama.cpp itself."""
