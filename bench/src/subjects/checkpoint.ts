// Two ranks save SLIP_VITB16 with its optimizer side by side and load it again, as a training does: `checkpoint.js FOLDER`, one JSON
// line of times. SHA-256 included; files and folders are synced.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import {
  beginSave,
  commitSave,
  divideBySize,
  divideTensors,
  fileMetadata,
  type ManifestShard,
  type NamedTensor,
  openCheckpoint,
  ShardWriter,
  shardName,
  type WrittenShard,
} from '@slip/checkpoint';
import { connectZeroMqGroup, type ProcessGroup } from '@slip/comms';
import { resolveModel, stateLayout } from '@slip/model/architecture';

const RANKS = 2;
/** A run saves many times; the first save finds fresh memory for its copy. The peer saves as often. */
const SAVES = 3;
/** From the beginning of a save to the next update of the parameters, when the save has to let go of them: shorter than any step of this model. */
const STEP_MS = 500;

type Files = Record<'model' | 'optimizer', NamedTensor[]>;

const [folder, rankText] = process.argv.slice(2);
if (rankText === undefined) await playAll();
else await play(Number(rankText));

/** Starts the ranks, and gives them each other's endpoints. */
async function playAll(): Promise<void> {
  const ranks = Array.from({ length: RANKS }, (_, rank) => fork(import.meta.filename, [folder, String(rank)]));
  const ends = ranks.map((rank) => once(rank, 'exit'));
  const endpoints = await Promise.all(ranks.map(async (rank) => (await once(rank, 'message'))[0] as string));
  for (const rank of ranks) rank.send(endpoints);
  const codes = (await Promise.all(ends)).map(([code]) => code as number | null);
  if (codes.some((code) => code !== 0)) process.exitCode = 1;
}

async function play(rank: number): Promise<void> {
  const group = await connectZeroMqGroup({
    ...{ rank, worldSize: RANKS, runId: 'checkpoint', generation: 0, host: '127.0.0.1', timeoutMs: 100_000 },
    exchange: async (endpoint) => {
      const table = once(process, 'message');
      process.send!(endpoint);
      return (await table)[0] as string[];
    },
  });
  const files = await tensors(group);
  const [checkpoints] = await group.allGatherObject(
    rank === 0 ? mkdtempSync(path.join(folder, 'slip-bench-checkpoint-')) : '',
  );
  const writer = new ShardWriter();
  try {
    let saved: Saved | undefined;
    for (let step = 1; step <= SAVES; step++) saved = await save(group, writer, checkpoints, step, files);
    const { path: place, bytes, saveMs, stallMs } = saved!;
    for (const { data } of Object.values(files).flat()) data.fill(0 as never);
    await group.barrier();
    const startedAt = performance.now();
    await load(group, place, files);
    await group.barrier();
    const loadMs = performance.now() - startedAt;
    if (Object.values(files).some((all) => all.some(({ data }) => data.at(-1) !== Math.fround(0.618)))) {
      throw new Error('what was loaded is not what was saved');
    }
    if (rank === 0) console.log(JSON.stringify({ saveMs, loadMs, stallMs, saveGBps: bytes / saveMs / 1e6 }));
  } finally {
    await writer.close();
    await group.barrier();
    if (rank === 0) rmSync(checkpoints, { recursive: true, force: true });
    await group.close();
    process.disconnect();
  }
}

interface Saved {
  readonly path: string;
  readonly bytes: number;
  readonly saveMs: number;
  /** What training waits for: until the save has begun, until it lets go of the parameters, and the commit. */
  readonly stallMs: number;
}

/** As the checkpointer of a training does it. */
async function save(
  group: ProcessGroup,
  writer: ShardWriter,
  checkpoints: string,
  step: number,
  files: Files,
): Promise<Saved> {
  const { rank } = group;
  await group.barrier();
  const startedAt = performance.now();
  const [temporary] = await group.allGatherObject(rank === 0 ? await beginSave(checkpoints, step, 0) : '');
  const share = Object.entries(files).map(([file, all]) => ({
    file,
    name: shardName(file, rank, RANKS),
    tensors: divideTensors(all, RANKS)[rank],
    metadata: fileMetadata(step),
  }));
  const writing = writer.write(temporary, share);
  const beganMs = performance.now() - startedAt;
  await setTimeout(STEP_MS - beganMs);
  const askedAt = performance.now();
  await writer.release();
  const releaseMs = performance.now() - askedAt;
  const written = (await group.allGatherObject<readonly WrittenShard[]>(await writing)).flat();
  const writtenAt = performance.now();
  let bytes = 0;
  let [saveMs, stallMs] = [0, 0];
  if (rank === 0) {
    const shards: Record<string, ManifestShard[]> = {};
    for (const { file, ...shard } of written) shards[file] = [...(shards[file] ?? []), shard];
    const saved = await commitSave(checkpoints, temporary, shards, {
      ...{ step, state: {}, keepLast: 1 },
      isOneOfMany: true,
    });
    bytes = saved.bytes;
    saveMs = performance.now() - startedAt;
    stallMs = beganMs + releaseMs + performance.now() - writtenAt;
    await saved.cleared;
  }
  const place = path.join(checkpoints, 'latest');
  return { path: place, bytes, saveMs, stallMs };
}

/** As a run that continues does it: the arenas are common, so each rank reads and verifies its share of the files. */
async function load({ rank }: ProcessGroup, place: string, files: Files): Promise<void> {
  const checkpoint = await openCheckpoint(place, { verify: false });
  const shards = Object.entries(files).flatMap(([file, all]) => {
    const targets = new Map(all.map(({ name, data }) => [name, data]));
    return checkpoint.shards(file).map((shard) => ({ shard, targets }));
  });
  for (const { shard, targets } of divideBySize(shards, RANKS, ({ shard: one }) => one.sizeBytes)[rank]) {
    const reason = await shard.readVerified((name) => targets.get(name));
    if (reason !== undefined) throw new Error(reason);
  }
}

/** Views of arenas that all ranks share, as parameters and moments are. */
async function tensors(group: ProcessGroup): Promise<Files> {
  const { entries, parameterCount } = stateLayout(resolveModel('SLIP_VITB16', {}));
  const named = async (prefix: string) => {
    const arena = await group.allocate(parameterCount, 'common');
    arena.fill(0.618);
    return entries
      .filter(({ kind }) => kind === 'param')
      .map(({ name, shape, offset, size }): NamedTensor => {
        return { name: prefix + name, dtype: 'F32', shape, data: arena.subarray(offset, offset + size) };
      });
  };
  return { model: await named(''), optimizer: [...(await named('exp_avg/')), ...(await named('exp_avg_sq/'))] };
}
