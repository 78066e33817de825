// Plans in a folder, by the hash of what decided them. A cache: whatever is wrong with it costs time and nothing else.
import { createHash, timingSafeEqual } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { deserialize, serialize } from 'node:v8';

export interface GraphCache {
  /** Undefined when it is not there, or damaged. */
  read(key: string): Promise<unknown>;
  /** @param plan of what `v8.serialize` takes */
  write(key: string, plan: unknown): Promise<void>;
}

export interface GraphCacheOptions {
  /** Made when it is first written to. */
  readonly folder: string;
  /** What the files may take together, default 256 MB; those that were not used for longest make room. */
  readonly maxBytes?: number;
}

const MAGIC = Buffer.from('SLIPGRAPH1\n\n\n\n\n\n', 'latin1');
const DIGEST_BYTES = 32;
const ENDING = '.graph';

/** Several processes may share the folder: a file appears whole, and all that write one write the same. */
export function openGraphCache({ folder, maxBytes = 256e6 }: GraphCacheOptions): GraphCache {
  const fileOf = (key: string) => path.join(folder, `${key}${ENDING}`);
  return {
    async read(key) {
      const file = fileOf(key);
      try {
        const plan = decode(await readFile(file));
        const now = new Date();
        await utimes(file, now, now).catch(() => undefined);
        return plan;
      } catch {
        return undefined;
      }
    },
    async write(key, plan) {
      const temporary = path.join(folder, `.${key}.${process.pid}.tmp`);
      try {
        await mkdir(folder, { recursive: true });
        // Not synced: what a crash leaves half-written is found out by its checksum.
        await writeFile(temporary, encode(plan), { flag: 'wx' });
        await rename(temporary, fileOf(key));
        await makeRoom(folder, maxBytes);
      } catch {
        // A folder that cannot be written to, a full disk.
        await rm(temporary, { force: true }).catch(() => undefined);
      }
    },
  };
}

function encode(plan: unknown): Buffer {
  const body = serialize(plan);
  return Buffer.concat([MAGIC, createHash('sha256').update(body).digest(), body]);
}

/** @throws Error when the bytes are not those that were written */
function decode(bytes: Buffer): unknown {
  const body = bytes.subarray(MAGIC.length + DIGEST_BYTES);
  const digest = bytes.subarray(MAGIC.length, MAGIC.length + DIGEST_BYTES);
  const isOurs = bytes.subarray(0, MAGIC.length).equals(MAGIC) && digest.length === DIGEST_BYTES;
  if (!isOurs || !timingSafeEqual(digest, createHash('sha256').update(body).digest())) throw new Error('damaged');
  return deserialize(body);
}

/** Also takes away what a killed process left half-written an hour ago. */
async function makeRoom(folder: string, maxBytes: number): Promise<void> {
  const files: { file: string; size: number; usedMs: number }[] = [];
  for (const name of await readdir(folder)) {
    const file = path.join(folder, name);
    const facts = await stat(file).catch(() => undefined);
    if (facts === undefined) continue;
    if (name.endsWith(ENDING)) files.push({ file, size: facts.size, usedMs: facts.mtimeMs });
    else if (name.endsWith('.tmp') && Date.now() - facts.mtimeMs > 3_600_000) await rm(file, { force: true });
  }
  files.sort((a, b) => b.usedMs - a.usedMs);
  let total = 0;
  for (const { file, size } of files) {
    total += size;
    if (total > maxBytes) await rm(file, { force: true });
  }
}
