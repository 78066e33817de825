"""Loads with numpy and pickle what slip-data wrote, and says what it found as JSON. Called by test/src/data/*.long.ts.

usage: check-datasets.py npy FILE | pickle FILE | tar FILE"""
import json
import pickle
import sys
import tarfile

import numpy as np

what, file = sys.argv[1:]
if what == "npy":
    array = np.load(file, allow_pickle=True)
    print(json.dumps({"shape": array.shape, "dtype": str(array.dtype), "items": array.tolist()}))
elif what == "pickle":
    with open(file, "rb") as stream:
        items = pickle.load(stream)
    print(json.dumps({"types": [type(item).__name__ for item in items], "items": items}))
else:
    with tarfile.open(file) as archive:
        print(json.dumps({member.name: len(archive.extractfile(member).read()) for member in archive.getmembers()}))
