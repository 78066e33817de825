"""Writes pickles.json: real pickles of Python's own pickler in every protocol, each with what must come out of it.
Run with python3 and numpy; development only."""
import argparse
import base64
import collections
import json
import pathlib
import pickle

import numpy as np


def expected(value):
    """The value with its kind spelled out, as the test spells out what it read."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, np.integer)):
        return int(value) if abs(int(value)) < 2**53 else {"int": str(int(value))}
    if isinstance(value, (float, np.floating)):
        return {"float": float(value).hex() if np.isfinite(value) else str(float(value))}
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, (list, tuple)):
        return [expected(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return {"set": sorted(expected(item) for item in value)}
    if isinstance(value, dict):
        return {"dict": [[expected(key), expected(item)] for key, item in value.items()]}
    if isinstance(value, argparse.Namespace):
        return {"namespace": [[key, expected(item)] for key, item in vars(value).items()]}
    if isinstance(value, pathlib.PurePath):
        return str(value)
    if isinstance(value, np.ndarray):
        return {"array": list(value.shape), "elements": [expected(item) for item in value.reshape(-1)]}
    raise TypeError(type(value))


shared = ["shared"]
captions = np.empty(3, dtype=object)
captions[:] = [(1, "a dog"), (2, "Ein Käse"), (3, "\u4f60\U0001f600")]
CASES = {
    "constants": [None, True, False],
    "integers": [0, 1, 255, 256, 65535, 65536, -1, -128, 2**31 - 1, -(2**31), 2**31, 2**53 - 1, 2**53, -(2**63), 10**40],
    "floats": [0.0, -0.0, 1.5, -1e-310, 1e308, float("inf"), float("-inf"), float("nan")],
    "text": ["", "plain", "Käse", "\u4f60\u597d \U0001f600", "line\nback\\slash \\u0041", "\ufeffbom", "x" * 300],
    "bytes": [b"", b"abc\x00\xff", b"z" * 300],
    "bytearray": bytearray(b"ab\xff"),
    "containers": {"list": [1, [2, []]], "tuple": (1, (2,), (), (3, 4, 5, 6)), "dict": {1: "one", "1": "text", None: {}}},
    "sets": [{1, 2, 3}, frozenset([4])],
    "long list": list(range(1100)),
    "shared": [shared, shared, {"again": shared}],
    "ordered": collections.OrderedDict([("b", 1), ("a", 2)]),
    "namespace": argparse.Namespace(model="SLIP_VITB16", lr=3e-3, betas=[0.9, 0.98], output_dir=pathlib.PurePosixPath("/a/b"), here=pathlib.PurePosixPath("c/d.pt")),
    "numpy scalars": [np.float64(0.003), np.float32(1.5), np.int64(-7), np.uint8(255), np.bool_(True), np.float16(0.1), np.int64(2**62)],
    "numpy arrays": [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3)),
        np.array([1, 2], dtype=">i4"),
        np.array(["ab", "Käse"]),
        np.array([], dtype=np.float64),
        np.array(3.5),
        np.array([True, False]),
    ],
    "numpy objects": captions,
}

out = []
for name, value in CASES.items():
    for protocol in range(6):
        data = pickle.dumps(value, protocol=protocol)
        out.append({"name": name, "protocol": protocol, "pickle": base64.b64encode(data).decode(), "expected": expected(value)})
        if protocol < 2:
            data = pickle._dumps(value, protocol=protocol)  # the pickler in plain Python spells some things differently
            out.append({"name": f"{name}, plain Python", "protocol": protocol, "pickle": base64.b64encode(data).decode(), "expected": expected(value)})

with open(pathlib.Path(__file__).with_name("pickles.json"), "w", encoding="utf8") as file:
    file.write("[\n" + ",\n".join(json.dumps(case) for case in out) + "\n]\n")
