"""Writes datasets/: a small tree of every pre-training set in its own layout, made with Python's own writers, and
expected.json with what has to come out. Run with python3, numpy and Pillow; development only."""
import csv
import io
import json
import pathlib
import pickle
import re
import shutil
import tarfile
import urllib.parse
import zipfile
import zlib

import numpy as np
from PIL import Image

root = pathlib.Path(__file__).parent / "datasets"
shutil.rmtree(root, ignore_errors=True)
expected = {}
colours = [(250, 20, 20), (20, 200, 40), (30, 40, 240), (240, 230, 30), (128, 128, 128), (10, 10, 10)]


def picture(number):
    """A JPEG of one colour, by which a test knows it again."""
    stream = io.BytesIO()
    Image.new("RGB", (24 + number, 16), colours[number % len(colours)]).save(stream, "jpeg", quality=95)
    return stream.getvalue()


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


def expect(name, dataset, metadata, samples):
    expected[name] = {"dataset": dataset, "root": name.split("-")[0], "metadata": metadata, "samples": samples}


# YFCC: an empty description, text beyond ASCII and beyond the BMP, one title twice (the same object), archives both ways.
rows = [(12345678, "a title", "a description"), (7, "München, café", ""), (1000, "", "日本 😀 \ud800 alone"), (12345001, "long", "x" * 70000)]
rows.append((12345002, rows[0][1], rows[3][2]))
for number, (index, _, _) in enumerate(rows):
    digits = f"{index:08d}"
    archive = root / "yfcc/images" / digits[:2] / f"{digits[2:5]}.zip"
    archive.parent.mkdir(parents=True, exist_ok=True)
    method = zipfile.ZIP_DEFLATED if number % 2 else zipfile.ZIP_STORED
    with zipfile.ZipFile(archive, "a") as out:
        out.writestr(zipfile.ZipInfo(f"{digits[5:]}.jpg"), picture(number), method)
for protocol in range(6):
    put(root / f"yfcc/yfcc15m.p{protocol}.pkl", pickle.dumps(rows[:3] if protocol else rows, protocol))
put(root / "yfcc/yfcc15m.pkl", pickle.dumps(rows))
samples = [
    {"name": f"images/{f'{i:08d}'[:2]}/{f'{i:08d}'[2:5]}.zip#{f'{i:08d}'[5:]}.jpg",
     "captions": [t, d.replace("\ud800", "\ufffd")], "number": n}
    for n, (i, t, d) in enumerate(rows)
]
expect("yfcc", "yfcc15m", "yfcc/yfcc15m.pkl", samples)
for protocol in range(6):
    expect(f"yfcc-p{protocol}", "yfcc15m", f"yfcc/yfcc15m.p{protocol}.pkl", samples[:3] if protocol else samples)

# CC3M: paths as int, str and numpy scalars. CC12M: image_name beside image_id.
cc3m = [
    {"image_id": 1510438788, "captions": ["pink tulips", "a field"]},
    {"image_id": "deep/two.jpg", "captions": ["two"]},
    {"image_id": np.int64(33), "captions": [np.str_("drei – três")]},
]
for number, item in enumerate(cc3m):
    put(root / "cc3m" / str(item["image_id"]), picture(number))
np.save(root / "cc3m/cc3m.npy", np.array(cc3m, dtype=object), allow_pickle=True)
expect("cc3m", "cc3m", "cc3m/cc3m.npy", [
    {"name": str(item["image_id"]), "captions": [str(text) for text in item["captions"]], "number": n} for n, item in enumerate(cc3m)])
cc12m = [{"image_name": f"{n}.jpg", "image_id": n, "captions": [f"picture number {n}"]} for n in range(4)]
for number, item in enumerate(cc12m):
    put(root / "cc12m" / item["image_name"], picture(number))
np.save(root / "cc12m/cc12m.npy", np.array(cc12m, dtype=object), allow_pickle=True)
# As numpy 2 writes it.
renamed = (root / "cc12m/cc12m.npy").read_bytes()
old, new = b"numpy.core.multiarray", b"numpy._core.multiarray"
assert old in renamed
header, body = renamed[:128], renamed[128:]
for opcode in (b"\x8c" + bytes([len(old)]) + old, b"c" + old):
    body = body.replace(opcode, b"\x8c" + bytes([len(new)]) + new if opcode[0] == 0x8C else b"c" + new)
put(root / "cc12m/cc12m.numpy2.npy", header + body)
samples = [{"name": item["image_name"], "captions": item["captions"], "number": n} for n, item in enumerate(cc12m)]
expect("cc12m", "cc12m", "cc12m/cc12m.npy", samples)
expect("cc12m-numpy2", "cc12m", "cc12m/cc12m.numpy2.npy", samples)

# RedCaps: one file for each subreddit, and all in one as the original's script merges them.
redcaps = [
    {"image_id": f"id{n}", "author": "somebody", "subreddit": name, "caption": f"caption \"{n}\" of {name} \\ é", "nested": [1, {"caption": "no"}]}
    for n, name in enumerate(["cats", "cats", "itookapicture"])
]
for number, item in enumerate(redcaps):
    put(root / "redcaps" / item["subreddit"] / f"{item['image_id']}.jpg", picture(number))
for name in ["cats", "itookapicture"]:
    part = {"info": {"annotations": [], "version": "v1"}, "annotations": [item for item in redcaps if item["subreddit"] == name]}
    put(root / "redcaps/annotations" / f"{name}_2020.json", json.dumps(part))
put(root / "redcaps/redcaps_v1.json", json.dumps(redcaps))
samples = [{"name": f"{item['subreddit']}/{item['image_id']}.jpg", "captions": [item["caption"]], "number": n} for n, item in enumerate(redcaps)]
expect("redcaps", "redcaps", "redcaps/redcaps_v1.json", samples)

# COCO: images in order of first appearance.
notes = [(9, "a plate"), (25, "a giraffe"), (9, "some food"), (139, "a room"), (25, "two giraffes")]
coco = {"info": {"url": "annotations"}, "images": [{"id": i} for i in (139, 25, 9)],
        "annotations": [{"image_id": i, "id": n, "caption": text} for n, (i, text) in enumerate(notes)]}
put(root / "coco/captions_train2017.json", json.dumps(coco, indent=1))
samples = []
for number, image in enumerate([9, 25, 139]):
    put(root / "coco/train2017" / f"{image:012d}.jpg", picture(number))
    samples.append({"name": f"train2017/{image:012d}.jpg", "captions": [text for i, text in notes if i == image], "number": number})
expect("coco", "coco", "coco/captions_train2017.json", samples)

# WebDataset: GNU and PAX headers, long names, .txt before .json, a member without picture and one without caption.
samples = []
number = 0
for shard, form in [("00000.tar", tarfile.GNU_FORMAT), ("00001.tar", tarfile.PAX_FORMAT), ("00002.tar", tarfile.USTAR_FORMAT)]:
    (root / "webdataset").mkdir(exist_ok=True)
    with tarfile.open(root / "webdataset" / shard, "w", format=form) as out:
        def member(name, data):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            out.addfile(info, io.BytesIO(data))
        keys = [f"{number:09d}", f"deep/er.folder/{'n' * (60 if form == tarfile.USTAR_FORMAT else 150)}", f"ümlaut{number}"]
        member("lonely.jpg", picture(0))
        for key in keys:
            name = f"{key}.jpg"
            member(name, picture(number))
            json_only = key == keys[2]
            if not json_only:
                member(f"{key}.txt", f"text of {number}".encode())
            member(f"{key}.json", json.dumps({"caption": f"json of {number}", "url": "u", "status": "success"}).encode())
            samples.append({"name": f"{shard}#{name}", "captions": [f"json of {number}" if json_only else f"text of {number}"], "number": number})
            number += 1
        member("words.txt", b"a caption without a picture")
expect("webdataset", "webdataset", "", samples)

# A folder in img2dataset's layout, and tables of the same pictures.
samples = []
for number in range(4):
    name = f"{number // 2:05d}/{number:09d}"
    put(root / "folder" / f"{name}.jpg", picture(number))
    put(root / "folder" / f"{name}.txt", f"folder caption {number}\n")
    put(root / "folder" / f"{name}.json", json.dumps({"url": f"http://x/{number}", "caption": f"folder caption {number}", "status": "success"}))
    samples.append({"name": f"{name}.jpg", "captions": [f"folder caption {number}"], "number": number})
put(root / "folder/00000/uncaptioned.png", picture(5))
expect("folder", "image-folder", "", samples)
tricky = ['plain', 'with "quotes", and commas', 'two\nlines', '"', '']
names = [samples[n % 4]["name"] for n in range(len(tricky))]
def table(name, header, **options):
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, **options)
    if header:
        writer.writerow(header)
    for path, caption in zip(names, tricky):
        writer.writerow([caption, path] if header else [path, caption])
    put(root / "folder" / name, stream.getvalue())
table("captions.csv", ["title", "filepath"])
table("bare.csv", None, lineterminator="\n")
rows = [{"name": path, "captions": [caption], "number": n % 4} for n, (path, caption) in enumerate(zip(names, tricky))]
expect("folder-csv", "csv", "folder/captions.csv", rows)
expect("folder-bare", "csv", "folder/bare.csv", rows)
expect("folder-metadata", "image-folder", "folder/captions.csv", rows)
tsv = [(path, caption) for path, caption in zip(names, ["one", 'a "quoted" word', '"all quoted"', 'it''s', "5\" nails"])]
put(root / "folder/captions.tsv", "file_name\ttext\n" + "".join(f"{path}\t{caption}\n" for path, caption in tsv))
texts = [caption if caption != '"all quoted"' else "all quoted" for _, caption in tsv]
rows = [{"name": path, "captions": [text], "number": n % 4} for n, ((path, _), text) in enumerate(zip(tsv, texts))]
expect("folder-tsv", "tsv", "folder/captions.tsv", rows)
put(root / "folder/metadata.jsonl", "".join(json.dumps({"file_name": s["name"], "text": [s["captions"][0], "other"]}) + "\n" for s in samples))
expect("folder-jsonl", "image-folder", "folder/metadata.jsonl", [{**s, "captions": [s["captions"][0], "other"]} for s in samples])

# What the preparation commands start from, and what Python makes of it by the rules of the original (reference 5.2).
lines = []
for number, (title, description) in enumerate([
    ("A+title%2C+here", "plain+words"), ("caf%C3%A9+%E6%97%A5%E6%9C%AC", "bad+%ff%C3+utf%2"), ("%3Ca+href%3D%22http%3A%2F%2Fx.y%2Fz%22%3Elink%3C%2Fa%3E", "%3Cb%3Ebold%3C%2Fb%3E+and+%3Ci%3Eit%3C%2Fi%3E"),
    ("see+http%3A%2F%2Fa.b%2Fc+now", "www.x.com%0Anext+line"), ("1%2B1", "%3Ca+%0A%3Eover+lines%3C%2Fa%3E"), ("not wanted", "x"), ("not there", "y"), ("www%E3%80%80wide", "caf\u00e9%20direct"),
]):
    columns = [str(number * 3)] + [f"c{n}" for n in range(1, 8)] + [title, description] + ["", "tag"] + ["x"] * 12
    lines.append("\t".join(columns))
put(root / "prepare/yfcc100m_dataset.txt", "\n".join(lines) + "\n")
put(root / "prepare/yfcc100m_subset_data.tsv", "".join(f"{n * 3}\tid{n}\thash{n}\n" for n in (0, 1, 2, 3, 4, 6, 7)))
np.save(root / "prepare/flickr_unique_ids.npy", np.array([n * 3 for n in (7, 0, 1, 2, 3, 4, 5)]))


def clean(field):
    text = urllib.parse.unquote(field).replace("+", " ")
    return re.sub(r"http\S+|www\S+", "", re.sub("<a.*?>|</a>|<b>|</b>|<i>|</i>", "", text))


made = [[n * 3, *(clean(field) for field in lines[n].strip().split("\t")[8:10])] for n in (0, 1, 2, 3, 4, 7)]
expected_yfcc = {"captioned": made, "images": [n * 3 for n in (0, 1, 2, 3, 4, 5, 7)]}

urls = [f"http://pictures.example/{n}.jpg" for n in range(6)]
put(root / "prepare/cc3m.tsv", "".join(f"caption {n} of caf\u00e9\t{url}\n" for n, url in enumerate(urls)))
put(root / "prepare/cc12m.tsv", "".join(f"{url}\tcaption {n} of caf\u00e9\n" for n, url in enumerate(urls)))
put(root / f"prepare/by-crc/{zlib.crc32(urls[1].encode())}", picture(1))
put(root / f"prepare/by-crc/deep/{zlib.crc32(urls[4].encode())}.jpg", picture(4))
put(root / "prepare/by-row/0.jpg", picture(0))
put(root / "prepare/by-row/5.png", picture(5))
# img2dataset's keys are not row numbers: 00000/000000003 is row 2 here.
for key, n in (("000000000", 0), ("000000003", 2), ("000000001", 5)):
    put(root / f"prepare/img2dataset/00000/{key}.jpg", picture(n))
for key, n in (("000000000", 0), ("000000002", 1), ("000000003", 2), ("000000001", 5)):
    put(root / f"prepare/img2dataset/00000/{key}.json", json.dumps({"url": urls[n], "caption": "c", "key": key}))
put(root / "prepare/expected.json", json.dumps(expected_yfcc))

put(root / "expected.json", json.dumps({"colours": colours, "sets": expected}, indent=1))
