"""What makes training fast on a CPU: native kernels, faster layers, and memory that is kept."""
