"""What is measured: attention variants and the models built from them, one folder a framework."""
