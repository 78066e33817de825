// The thread behind ShardWriter: from memory of the process to files on disk.
import path from 'node:path';
import { parentPort } from 'node:worker_threads';
import { invariant, type MemoryPlace, threadMemory } from '@slip/core';
import { HeldTensors } from './held-tensors.js';
import type { StreamedTensor } from './named-tensor.js';
import { TensorFile } from './safetensors-write.js';
import type { FromWriter, SentTensor, ToWriter, WriteRequest, WrittenShard } from './shard-writer.js';

invariant(parentPort !== null, 'this file runs in a thread');
const port = parentPort;
const views = new Map<string, Uint8Array>();
let held: HeldTensors | undefined;
/** Memory for what is copied, used again: fresh memory takes twice as long. */
let room = new ArrayBuffer(0);

port.on('message', async (message: ToWriter) => {
  if ('folder' in message) {
    send(await answer(message));
    return;
  }
  await held?.release();
  send({ released: message.release });
});

function send(message: FromWriter): void {
  port.postMessage(message);
}

async function answer({ folder, files }: WriteRequest): Promise<FromWriter> {
  const open: TensorFile[] = [];
  try {
    const sent = files.flatMap(({ tensors }) => tensors);
    const tensors = new HeldTensors(sent.map(bytesOf), roomFor);
    held = tensors;
    let index = 0;
    // All are written before the first is finished, so that the tensors are free soon.
    for (const { name, metadata, tensors: own } of files) {
      const streamed = own.map((tensor) => streamOf(tensors, tensor, index++));
      const file = await TensorFile.open(path.join(folder, name));
      open.push(file);
      await file.write(streamed, metadata);
    }
    const written: WrittenShard[] = [];
    for (const [i, { file, name }] of files.entries()) written.push({ file, name, ...(await open[i].finish()) });
    return { written };
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    return { error: { message, ...(code === undefined ? {} : { code }) } };
  } finally {
    held = undefined;
    for (const file of open) await file.close().catch(() => undefined);
  }
}

function streamOf(tensors: HeldTensors, { name, dtype, shape, memory }: SentTensor, index: number): StreamedTensor {
  const byteLength = memory instanceof Uint8Array ? memory.length : memory.bytes;
  return { name, dtype, shape, byteLength, chunks: () => tensors.pieces(index), again: () => tensors.again(index) };
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
