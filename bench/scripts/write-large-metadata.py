"""Metadata of the published sets' full size, with Python's own writers: yfcc15m.pkl (14,689,580 records, about 2.2 GB) and
redcaps_v1.json (12,011,121 annotations, about 4.5 GB). Texts are made up; lengths are like the real ones. Needs 9 GB of memory for YFCC.

    python3 write-large-metadata.py FOLDER [yfcc|redcaps] [RECORDS]
"""
import json
import pathlib
import pickle
import random
import sys

folder, which = pathlib.Path(sys.argv[1]), sys.argv[2]
records = int(sys.argv[3]) if len(sys.argv) > 3 else {"yfcc": 14_689_580, "redcaps": 12_011_121}[which]
random.seed(0)
words = ["".join(random.choices("etaoinshrdlu", k=random.randint(2, 9))) for _ in range(5000)] + ["café", "日本", "München", "😀"]
pages = [" ".join(random.choices(words, k=400)) for _ in range(500)]


def text(shortest, longest):
    begin = random.randrange(1500)
    return random.choice(pages)[begin : begin + random.randint(shortest, longest)]


if which == "yfcc":
    rows = [(n * 6 + random.randrange(6), text(5, 40), text(10, 300) if random.random() < 0.75 else "") for n in range(records)]
    with open(folder / "yfcc15m.pkl", "wb") as out:
        pickle.dump(rows, out)
else:
    with open(folder / "redcaps_v1.json", "w") as out:
        for n in range(records):
            caption = text(10, 80)
            annotation = {
                "image_id": f"{n:07x}", "author": text(5, 12), "url": f"https://i.redd.it/{n:013x}.jpg", "raw_caption": caption,
                "caption": caption, "subreddit": random.choice(words), "score": random.randrange(5000),
                "created_utc": 1_500_000_000 + n, "permalink": f"/r/x/comments/{n:06x}/{text(10, 40)}/", "crosspost_parents": None,
            }
            out.write(("[" if n == 0 else ", ") + json.dumps(annotation))
        out.write("]")
