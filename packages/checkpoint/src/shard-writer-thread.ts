// The thread behind ShardWriter: from memory of the process to files on disk.
import { openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { parentPort } from 'node:worker_threads';
import { invariant, type MemoryPlace, threadMemory } from '@slip/core';
import { HeldTensors } from './held-tensors.js';
import { canMapFiles, MappedFiles } from './mapped-files.js';
import { copyTensors, fileBytes, hashFile } from './mapped-write.js';
import type { StreamedTensor } from './named-tensor.js';
import { writeTensorsInPlace } from './safetensors-write.js';
import type { FromWriter, SentTensor, ToWriter, WriteRequest, WrittenShard } from './shard-writer.js';

invariant(parentPort !== null, 'this file runs in a thread');
const port = parentPort;
const views = new Map<string, Uint8Array>();
let held: HeldTensors | undefined;
/** Memory for what is copied, used again: fresh memory takes twice as long. */
let room = new ArrayBuffer(0);

/** Files of earlier saves, where they stay mapped; and those of the last one that are to be. */
const mapped = new MappedFiles();
const written: number[] = [];

port.on('message', async (message: ToWriter) => {
  if ('folder' in message) {
    send(await answer(message));
    // While training goes on.
    for (const fd of written.splice(0)) mapped.adopt(fd);
    return;
  }
  if ('release' in message) {
    await held?.release();
    send({ released: message.release });
    return;
  }
  mapped.close();
  port.close();
});

function send(message: FromWriter): void {
  port.postMessage(message);
}

async function answer({ folder, files }: WriteRequest): Promise<FromWriter> {
  try {
    const sent = files.flatMap(({ tensors }) => tensors);
    const tensors = new HeldTensors(sent.map(bytesOf), roomFor);
    held = tensors;
    let index = 0;
    const shards = files.map(({ tensors: own, ...shard }) => ({
      ...shard,
      tensors: own.map((tensor) => streamOf(tensors, tensor, index++)),
    }));
    mapped.tidy();
    const places = shards.map((shard) => ({ ...shard, place: path.join(folder, shard.name) }));
    const canMap = await canMapFiles(folder);
    const isMapped =
      canMap && places.every((shard) => mapped.has(shard.place, fileBytes(shard.tensors, shard.metadata)));
    return { written: await (isMapped ? writeOver(places) : write(places, canMap)) };
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    return { error: { message, ...(code === undefined ? {} : { code }) } };
  } finally {
    held = undefined;
  }
}

interface Shard extends Omit<WriteRequest['files'][number], 'tensors'> {
  readonly place: string;
  readonly tensors: readonly StreamedTensor[];
}

async function write(shards: readonly Shard[], canMap: boolean): Promise<WrittenShard[]> {
  const results: WrittenShard[] = [];
  for (const { file, name, place, metadata, tensors } of shards) {
    // Not the memory of a file that another process may still read.
    await rm(place, { force: true });
    results.push({ file, name, ...(await writeTensorsInPlace(place, tensors, metadata)) });
    // By the time it is mapped it has another name.
    if (canMap) written.push(openSync(place, 'r+'));
  }
  return results;
}

/** Nothing to sync: files that can be mapped are in memory. */
async function writeOver(shards: readonly Shard[]): Promise<WrittenShard[]> {
  const files: Uint8Array[] = [];
  for (const { place, metadata, tensors } of shards) {
    const file = mapped.open(place, fileBytes(tensors, metadata));
    await copyTensors(file, tensors, metadata);
    files.push(file);
  }
  const results: WrittenShard[] = [];
  for (const [i, { file, name }] of shards.entries()) results.push({ file, name, ...(await hashFile(files[i]!)) });
  return results;
}

function streamOf(tensors: HeldTensors, { name, dtype, shape, memory }: SentTensor, index: number): StreamedTensor {
  const byteLength = memory instanceof Uint8Array ? memory.length : memory.bytes;
  return { name, dtype, shape, byteLength, chunks: () => tensors.pieces(index) };
}

function bytesOf({ memory }: SentTensor): Uint8Array {
  return memory instanceof Uint8Array ? memory : viewAt(memory);
}

function viewAt(place: MemoryPlace): Uint8Array {
  const key = `${place.address} ${place.bytes}`;
  const memory = threadMemory();
  invariant(memory !== undefined, 'the thread that sent the place found it');
  const view = views.get(key) ?? new Uint8Array(memory.viewAt(place));
  views.set(key, view);
  return view;
}

function roomFor(bytes: number): ArrayBuffer {
  if (room.byteLength < bytes) room = new ArrayBuffer(bytes);
  return room;
}
