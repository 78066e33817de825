// The thread behind ShardWriter: from places in shared memory to files on disk.
import path from 'node:path';
import { parentPort } from 'node:worker_threads';
import { invariant } from '@slip/core';
import type { NamedTensor } from './named-tensor.js';
import { writeTensorsInPlace } from './safetensors-write.js';
import type { WriteReply, WriteRequest, WrittenShard } from './shard-writer.js';

invariant(parentPort !== null, 'this file runs in a thread');
const port = parentPort;

port.on('message', async (request: WriteRequest) => {
  port.postMessage(await answer(request));
});

async function answer({ folder, memory, files }: WriteRequest): Promise<WriteReply> {
  try {
    const written: WrittenShard[] = [];
    for (const { file, name, metadata, tensors } of files) {
      const views = tensors.map(({ name: tensor, dtype, shape, offset, elements }): NamedTensor => {
        const data =
          dtype === 'F32' ? new Float32Array(memory, offset, elements) : new BigInt64Array(memory, offset, elements);
        return { name: tensor, dtype, shape, data };
      });
      written.push({ file, name, ...(await writeTensorsInPlace(path.join(folder, name), views, metadata)) });
    }
    return { written };
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    return { error: { message, ...(code === undefined ? {} : { code }) } };
  }
}
