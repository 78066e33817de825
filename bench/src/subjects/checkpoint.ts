// Two processes save SLIP_VITB16 with its optimizer side by side, as two ranks do, and load it again, as two ranks do:
// `checkpoint.js FOLDER`, one JSON line of times. Hashing included; files and folders are synced.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  beginSave,
  commitSave,
  divideTensors,
  fileMetadata,
  type ManifestShard,
  type NamedTensor,
  openCheckpoint,
  ShardWriter,
  shardName,
  type WrittenShard,
} from '@slip/checkpoint';
import { resolveModel, stateLayout } from '@slip/model/architecture';

const RANKS = 2;
const STEP = 1;

interface Order {
  readonly do: 'write' | 'load';
  readonly place: string;
}
interface Done {
  readonly written: readonly WrittenShard[];
  readonly stallMs: number;
}

const [folder, rankText] = process.argv.slice(2);
const files = tensors();
const writer = new ShardWriter();
if (rankText === undefined) await asFirstRank();
else await asOtherRank(Number(rankText));

async function asFirstRank(): Promise<void> {
  const others = Array.from({ length: RANKS - 1 }, (_, i) =>
    fork(fileURLToPath(import.meta.url), [folder, String(i + 1)]),
  );
  await Promise.all(others.map((other) => once(other, 'message')));
  const order = async (what: Order): Promise<Done[]> => {
    const answers = others.map(async (other): Promise<Done> => (await once(other, 'message'))[0]);
    for (const other of others) other.send(what);
    return [await carryOut(what, 0), ...(await Promise.all(answers))];
  };
  const checkpoints = mkdtempSync(path.join(folder, 'slip-bench-checkpoint-'));
  try {
    // The first copy finds fresh memory; a run saves many times.
    const runs = [];
    for (let round = 0; round < 2; round++) {
      const startedAt = performance.now();
      const temporary = await beginSave(checkpoints, STEP, 0);
      const done = await order({ do: 'write', place: temporary });
      const shards: Record<string, ManifestShard[]> = {};
      for (const { file, ...shard } of done.flatMap(({ written }) => written)) {
        shards[file] = [...(shards[file] ?? []), shard];
      }
      const saved = await commitSave(checkpoints, temporary, shards, { step: STEP, state: {}, keepLast: 1 });
      const saveMs = performance.now() - startedAt;
      runs.push({ ...saved, saveMs, stallMs: Math.max(...done.map(({ stallMs }) => stallMs)) });
    }
    const { path: place, bytes, saveMs, stallMs } = runs.at(-1)!;
    const startedAt = performance.now();
    await order({ do: 'load', place });
    const loadMs = performance.now() - startedAt;
    console.log(JSON.stringify({ saveMs, loadMs, stallMs, saveGBps: bytes / saveMs / 1e6 }));
  } finally {
    rmSync(checkpoints, { recursive: true, force: true });
    for (const other of others) other.disconnect();
    await writer.close();
  }
}

async function asOtherRank(rank: number): Promise<void> {
  process.on('message', async (order: Order) => process.send!(await carryOut(order, rank)));
  process.on('disconnect', () => void writer.close());
  process.send!('ready');
}

async function carryOut(order: Order, rank: number): Promise<Done> {
  if (order.do === 'load') {
    const checkpoint = await openCheckpoint(order.place, { verify: true });
    for (const [file, all] of Object.entries(files)) {
      const targets = new Map(all.map(({ name, data }) => [name, data]));
      await checkpoint.readInto(file, (name) => targets.get(name));
    }
    return { written: [], stallMs: 0 };
  }
  const share = Object.entries(files).map(([file, all]) => ({
    file,
    name: shardName(file, rank, RANKS),
    tensors: divideTensors(all, RANKS)[rank],
    metadata: fileMetadata(STEP),
  }));
  const startedAt = performance.now();
  const writing = writer.write(order.place, share);
  const stallMs = performance.now() - startedAt;
  return { written: await writing, stallMs };
}

function tensors(): Record<'model' | 'optimizer', NamedTensor[]> {
  const named = (prefix: string) =>
    stateLayout(resolveModel('SLIP_VITB16', {}))
      .entries.filter(({ kind }) => kind === 'param')
      .map(({ name, shape, size }): NamedTensor => {
        return { name: prefix + name, dtype: 'F32', shape, data: new Float32Array(size).fill(0.618) };
      });
  return { model: named(''), optimizer: [...named('exp_avg/'), ...named('exp_avg_sq/')] };
}
