// WebDataset: tar shards in which the members NAME.jpg and NAME.txt or NAME.json, one after the other, are a sample. The
// index makes any sample readable at any time, so that order and resuming are those of all other sets.
import path from 'node:path';
import { SlipError } from '@slip/core';
import { type TarMember, tarMembers } from '../../archives/tar-members.js';
import { rangeImage, withFile } from '../../images/image-source.js';
import { captionsIn } from '../../text/caption-text.js';
import { listFolder } from '../folder-tree.js';
import { type CaptionRecord, type Scan, type SetReader, wantFolder } from '../set-reader.js';

const IMAGES = new Set(['.jpg', '.jpeg', '.png', '.webp', '.tif', '.tiff', '.bmp', '.ppm']);
const BATCH = 1000;

export const webdataset: SetReader = {
  check: ({ root }) => wantFolder(root, '--root', 'the .tar shards are wanted there'),
  subject: ({ root }) => root,

  async *scan({ root }, scan) {
    await scan.watch(root);
    const { files } = await listFolder(root);
    const shards = files.filter((name) => name.endsWith('.tar') && !name.includes('\t'));
    if (shards.length === 0)
      throw new SlipError('data', `--root ${root} has no .tar files; the shards are wanted there`);
    for (const [i, shard] of shards.entries()) {
      yield* scanShard(root, shard, scan);
      scan.progress.part = (i + 1) / shards.length;
    }
  },

  images:
    ({ root }) =>
    (place) => {
      const [begin, length, shard, ...member] = place.split('\t');
      return rangeImage(path.join(root, shard), Number(begin), Number(length), member.join('\t'));
    },
};

async function* scanShard(root: string, shard: string, scan: Scan): AsyncGenerator<CaptionRecord[]> {
  const file = path.join(root, shard);
  const records = await withFile(file, file, async (handle) => {
    await scan.watch(file);
    const all: CaptionRecord[] = [];
    const sample = new Sample(shard);
    for await (const member of tarMembers(file, handle)) {
      const finished = await sample.add(member, file);
      if (finished !== undefined) all.push(finished);
    }
    const last = sample.finish();
    if (last !== undefined) all.push(last);
    return all;
  });
  for (let begin = 0; begin < records.length; begin += BATCH) yield records.slice(begin, begin + BATCH);
}

/** Members that belong together, as they come. */
class Sample {
  readonly #shard: string;
  #key: string | undefined;
  #place: string | undefined;
  #captions = new Map<string, string[]>();

  constructor(shard: string) {
    this.#shard = shard;
  }

  /** @returns the sample before, when this member begins another one */
  async add(member: TarMember, file: string): Promise<CaptionRecord | undefined> {
    const { key, extension } = splitName(member.name);
    const finished = key === this.#key ? undefined : this.finish();
    this.#key = key;
    if (IMAGES.has(extension)) this.#place ??= [member.begin, member.length, this.#shard, member.name].join('\t');
    if (extension === '.txt' || extension === '.json') {
      const captions = captionsIn(extension, await member.content(), `${file}#${member.name}`);
      if (captions !== undefined) this.#captions.set(extension, captions);
    }
    return finished;
  }

  /** Undefined where an image or a caption is missing. */
  finish(): CaptionRecord | undefined {
    const captions = this.#captions.get('.txt') ?? this.#captions.get('.json');
    const record: CaptionRecord | undefined =
      this.#place === undefined || captions === undefined ? undefined : [this.#place, ...captions];
    this.#place = undefined;
    this.#captions = new Map();
    return record;
  }
}

/** WebDataset's rule: the extension begins at the first point of the last part of the path. */
function splitName(name: string): { key: string; extension: string } {
  const slash = name.lastIndexOf('/') + 1;
  const point = name.indexOf('.', slash);
  if (point < 0) return { key: name, extension: '' };
  return { key: name.slice(0, point), extension: name.slice(point).toLowerCase() };
}
