"""What `make demo` runs: a molecule the start has never seen, thirty labels, a potential, dynamics.

`kshot.demo.sinusoid` shows the engine alone, without chemistry.
"""
