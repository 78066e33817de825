"""Writes powersgd.json: three steps of PowerSGD with error feedback on two ranks, by numpy in float64.

    python3 test/golden/generate-powersgd.py        (Debian's python3-numpy)

Algorithm 1 and 2 of Vogels, Karimireddy, Jaggi (2019), with means over ranks, a warm start, and QR (Householder, signs such
that the diagonal of R is positive) where the product orthogonalises by Gram-Schmidt. Gradients come from a formula that the test repeats:
    element i of tensor t on rank r at step s (0, 1, 2):  sin(0.37 * (i + 1) * (t + 1) + 1.3 * r + 0.7 * s) + 0.1 * cos(0.011 * i * i)
The factors that it begins with are those in the file, rounded to float32.
"""
import json
import pathlib

import numpy as np

SHAPES = [(12, 20), (8, 3, 4, 4), (7,), (5, 4)]
RANK, WORLD, STEPS = 2, 2, 3


def gradient(t, r, s):
    i = np.arange(np.prod(SHAPES[t]), dtype=np.float64)
    values = np.sin(0.37 * (i + 1) * (t + 1) + 1.3 * r + 0.7 * s) + 0.1 * np.cos(0.011 * i * i)
    return values.astype(np.float32).astype(np.float64)


def orthonormalise(p):
    q, r = np.linalg.qr(p)
    return q * np.sign(np.diag(r))


random = np.random.default_rng(7)
compressed = [t for t, shape in enumerate(SHAPES)
              if len(shape) > 1 and 2 * RANK * (shape[0] + np.prod(shape[1:])) <= np.prod(shape)]
matrix = {t: (SHAPES[t][0], int(np.prod(SHAPES[t][1:]))) for t in compressed}
right = {t: random.standard_normal((matrix[t][1], RANK)).astype(np.float32).astype(np.float64) for t in compressed}
errors = {(t, r): np.zeros(matrix[t]) for t in compressed for r in range(WORLD)}
start = {t: right[t].T.ravel().tolist() for t in compressed}
steps = []
for s in range(STEPS):
    step = {}
    for t in range(len(SHAPES)):
        if t not in compressed:
            step[t] = {"mean": np.mean([gradient(t, r, s) for r in range(WORLD)], axis=0).tolist()}
            continue
        m = [gradient(t, r, s).reshape(matrix[t]) + errors[t, r] for r in range(WORLD)]
        p = orthonormalise(np.mean([one @ right[t] for one in m], axis=0))
        right[t] = np.mean([one.T @ p for one in m], axis=0)
        mean = p @ right[t].T
        for r in range(WORLD):
            errors[t, r] = m[r] - mean
        step[t] = {"left": p.T.ravel().tolist(), "right": right[t].T.ravel().tolist(), "mean": mean.ravel().tolist(),
                   "errors": [errors[t, r].ravel().tolist() for r in range(WORLD)]}
    steps.append([step[t] for t in range(len(SHAPES))])

target = pathlib.Path(__file__).with_name("powersgd.json")
rounded = json.loads(json.dumps(dict(shapes=SHAPES, rank=RANK, worldSize=WORLD, compressed=compressed,
                                     start=[start.get(t) for t in range(len(SHAPES))], steps=steps)),
                     parse_float=lambda text: float(f"{float(text):.9g}"))
target.write_text(json.dumps(rounded) + "\n")
