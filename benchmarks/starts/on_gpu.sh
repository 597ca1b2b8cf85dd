#!/bin/bash
# Train bio-medium on a machine with a GPU and JAX for it: bash benchmarks/starts/on_gpu.sh FRAMES.npz FOLDER [MINUTES]
# Needs kshot importable (PYTHONPATH=src will do) with the extra `models`. Run again with the same FOLDER, it goes on where it
# ended: carry FOLDER/bio-medium.training there and back. Matrix products are not rounded to TF32, which costs forces meV/Å.
set -eu
frames=$1 folder=$2 minutes=${3:-}
mkdir -p "$folder" .cache/bio-medium
python3 benchmarks/starts/bio_medium.py unpack "$frames" .cache/bio-medium/frames.h5
export JAX_DEFAULT_MATMUL_PRECISION=highest XLA_PYTHON_CLIENT_PREALLOCATE=false
python3 -m kshot train benchmarks/starts/bio-medium.yaml -o "$folder/bio-medium.kshot" --force ${minutes:+--set joint.minutes="$minutes"}
